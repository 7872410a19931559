"""Run by an interpreter that has apache-otava: series as JSON in, the first points of its levels as JSON out."""

import json
import logging
import sys

from otava.analysis import compute_change_points

logging.disable()
found = [[int(point.index) for point in compute_change_points(series)[0]] for series in json.load(sys.stdin)]
json.dump(found, sys.stdout)
