import time

timeout = 2


def time_busy():
    while True:
        pass


def time_sleeping():
    time.sleep(600)
