import os
import sys

ARM = os.path.basename(sys.prefix).split("-")[0]  # what is measured is a copy in a folder such as head-0002


def time_short():
    return ARM


def time_long():
    return "x" * 100_000 + ARM


def time_huge_number():
    return 10**5000 + len(sys.prefix) + (ARM == "head")


if ARM == "head":

    def time_only_in_head():
        pass


if ARM == "base":

    def time_only_in_base():
        pass
