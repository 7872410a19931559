"""What an installed Lockstep is called among other people's packages: `lockstep_ab`, and nothing else.

A wheel has this file as lockstep_ab/__init__.py, with `runner`, `dashboards`, `benchmarks` and `data` beside it in the
same folder: names that would collide at the top of site-packages. Importing this package puts that folder on the path,
in front, for the program's own process. In a checkout, the folder is the checkout, and it goes to the end, so that
PYTHONPATH can name another. See docs/decisions/0021.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
if (_HERE / "runner").is_dir():
    sys.path.insert(0, str(_HERE))
elif str(_HERE.parents[1]) not in sys.path:
    sys.path.append(str(_HERE.parents[1]))


def main() -> None:
    """Run the command line and exit with its code; EX_SOFTWARE where a package that it needs is missing or broken."""
    try:
        from runner.cli import main as run
    except ImportError as error:
        print(f"lockstep: the installation is not whole ({error}). Install it again.", file=sys.stderr)
        sys.exit(os.EX_SOFTWARE)
    run()
