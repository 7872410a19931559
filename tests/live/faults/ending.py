import ctypes
import os
import signal
import sys


def time_calls_sys_exit():
    sys.exit(3)


def time_calls_os_exit():
    os._exit(3)


def time_segfaults():
    ctypes.string_at(0)


def time_aborts():
    os.kill(os.getpid(), signal.SIGABRT)
