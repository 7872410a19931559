"""Values that differ between calls or processes of one arm."""

import os
import random


def time_another_value_in_every_call():
    return random.random()


def time_another_value_in_every_process():
    return os.getpid()
