"""Benchmarks that say that they do not apply, in all the ways that asv knows, and in some that it does not."""

import sys
from pathlib import Path

from asv_runner.benchmarks.mark import SkipNotImplemented

ARM = Path(sys.prefix).name.split("-")[0]  # what is measured is a copy in a folder such as head-0002


class InSetup:
    params = (("list", "deque"), (8, 64))
    param_names = ("kind", "size")

    def setup(self, kind, size):
        if (kind, size) == ("deque", 64):
            raise NotImplementedError("no deque of\n  this size")
        self.data = list(range(size))

    def time_sum(self, kind, size):
        return sum(self.data)


class Template:
    """Meant to be inherited from; asv takes it for a benchmark, since its name begins with no underscore."""

    def prepare(self):
        raise NotImplementedError

    def setup(self):
        self.data = self.prepare()

    def time_len(self):
        return len(self.data)

    def track_len(self):
        return len(self.data)


class Filled(Template):
    def prepare(self):
        return list(range(9))


def time_marked():
    raise SkipNotImplemented("not on this machine")


def track_marked():
    raise SkipNotImplemented("nor this")


def peakmem_marked():
    raise SkipNotImplemented("nor that")


def track_not_a_number():
    return float("nan")


def time_forgotten():
    raise NotImplementedError("in the body this is a failure")


def time_in_base_alone():
    if ARM == "head":
        raise SkipNotImplemented("not yet in head")
    return 1


class InHeadAlone:
    def setup(self):
        if ARM == "base":
            raise NotImplementedError("base cannot do it")

    def track_one(self):
        return 1


if ARM == "head":

    def time_defined_in_head_alone():
        return 1
