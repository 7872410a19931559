"""`make pictures`: a made-up history, its pages, and a picture of each, light and dark."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

PICTURES = ROOT / "docs" / "pictures"


def test_every_page_has_a_picture_for_light_and_for_dark(tmp_path: Path) -> None:
    # A process of its own: the browser of the other tests has this one's event loop.
    path = os.pathsep.join(str(ROOT / place) for place in ("tests/unit", "tests/browser", "."))
    done = subprocess.run([sys.executable, PICTURES / "pages.py", tmp_path], capture_output=True, text=True,
                          check=False, timeout=600, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr  # a font cache that is made is told
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(made) == {path.name for path in PICTURES.glob("*.png")} - {"asv.png"}
    assert len(set(made.values())) == len(made), "no two are the same"
