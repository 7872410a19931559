"""Data files inside the package, by each of the ways to find them."""

import csv
import io
import os
import pkgutil

try:
    from importlib.resources import files
except ImportError:  # Python 3.8
    files = None

HERE = os.path.dirname(os.path.abspath(__file__))


def time_pkgutil():
    pkgutil.get_data(__package__ + ".data", "table.csv")


def time_beside_the_file():
    with open(os.path.join(HERE, "data", "table.csv"), newline="") as stream:
        list(csv.reader(stream))


class Resources:
    def setup(self):
        if files is None:
            raise NotImplementedError("importlib.resources has no files before Python 3.9")
        self.text = files("packaged.data").joinpath("table.csv").read_text(encoding="utf-8")

    def time_parse(self):
        list(csv.reader(io.StringIO(self.text)))

    def track_rows(self):
        return len(self.text.splitlines())

    def track_letters(self):
        return len(files("packaged.data").joinpath("süß.txt").read_text(encoding="utf-8"))
