"""Child processes, started in each of the ways that multiprocessing has; what they run is in this package."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from .common import square


class Pools:
    params = ["fork", "spawn", "forkserver"]
    param_names = ["start"]
    timeout = 30

    def setup(self, start):
        self.pool = multiprocessing.get_context(start).Pool(1)

    def teardown(self, start):
        self.pool.terminate()
        self.pool.join()

    def time_map(self, start):
        if self.pool.map(square, range(10)) != [i * i for i in range(10)]:
            raise ValueError("not the squares")


class Executor:
    timeout = 30

    def setup(self):
        self.executor = ProcessPoolExecutor(1)
        self.executor.submit(square, 1).result()

    def teardown(self):
        self.executor.shutdown()

    def time_submit(self):
        self.executor.submit(square, 3).result()
