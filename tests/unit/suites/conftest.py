"""The suite is no part of the installed package: it is imported from the tree."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
