"""Children that import the suite."""
import multiprocessing

timeout = 20


def double(number):
    return 2 * number


def on(method):
    with multiprocessing.get_context(method).Pool(1) as pool:
        return sum(pool.map(double, range(5)))


def time_spawn():
    return on("spawn")


def time_forkserver():
    return on("forkserver")


def time_fork():
    return on("fork")
