"""What interferes with the worker itself."""

import os


def time_closes_all_files():
    os.closerange(0, 256)


def time_forks_and_the_child_returns():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)


def time_eats_memory():
    eaten = []
    while True:
        eaten.append(b"x" * (1 << 26))
