"""A stand-in for suites that are packages: sub-packages, data files, benchmarks in ``__init__``, child processes."""

from . import common


def time_in_the_package_itself():
    common.words("one two three")
