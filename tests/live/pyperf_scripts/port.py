"""Takes a port, which one process at a time can have, and keeps it for a while; the other benchmark takes any."""
import os
import socket
import time

import pyperf

PORT = int(os.environ.get("PORT_OF_TEST", "0"))


def take(port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        end = time.perf_counter() + 0.03
        while time.perf_counter() < end:
            pass


if __name__ == "__main__":
    runner = pyperf.Runner()
    runner.bench_func("same port", take, PORT)
    runner.bench_func("any port", take, 0)
