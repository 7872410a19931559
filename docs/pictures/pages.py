"""Make the pictures of the pages, light and dark, from a history that nobody measured.

    PYTHONPATH=tests/unit:tests/browser:. .venv/bin/python docs/pictures/pages.py [FOLDER]

They go into this folder, or into another one. It takes Chromium, as tests/browser does. Where Pillow is installed the
pictures have 256 colours, and a third of the size.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import demo
from chromium import browser
from demo import Demo

from runner import config
from runner.report import addresses

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1280, 1400
"""Pixels: the height at most."""
PAGES: Mapping[str, Callable[[Demo], str]] = {
    "overview": lambda made: "index.html",
    "changes": lambda made: "events/index.html",
    "event": lambda made: f"events/{made.event}.html",
    "benchmarks": lambda made: "benchmarks/index.html",
    "benchmark": lambda made: f"benchmarks/{addresses.slug(made.key)}.html",
    "runs": lambda made: "runs/index.html",
    "comparison": lambda made: f"runs/{made.last.name}.html",
    "report": lambda made: f"runs/{made.last.name}.report.html",
    "compare": lambda made: "compare.html",
    "releases": lambda made: "releases.html",
    "health": lambda made: "health.html",
    "imported": lambda made: "imported.html",
    "trust": lambda made: "trust.html",
}
"""The name of each picture, and where on the site the page is."""
SCHEMES = {"light": "", "dark": "-dark"}
"""What a picture's name ends with."""


def make(out: Path) -> list[str]:
    """Make all pictures in a folder; returns what went wrong on the pages, and what is missing of them."""
    with tempfile.TemporaryDirectory(prefix="lockstep-pictures-") as name:
        config.STATE = Path(name) / "state"  # nothing of this machine: neither its runs nor its calibration
        made = demo.make(config.STATE)
        problems = list(demo.publish(made, Path(name) / "site"))
        with browser() as chromium:
            for scheme, ending in SCHEMES.items():
                context = chromium.new_context(viewport={"width": WIDTH, "height": 500}, color_scheme=scheme)
                page = context.new_page()
                page.on("pageerror", lambda error: problems.append(str(error)))
                for kind, place in PAGES.items():
                    page.goto((Path(name) / "site" / place(made)).as_uri())
                    page.wait_for_load_state("networkidle")
                    height = min(HEIGHT, page.evaluate("document.documentElement.scrollHeight"))
                    file = out / f"{kind}{ending}.png"
                    page.screenshot(path=file, full_page=True,
                                    clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
                    _reduced(file)
                context.close()
    return problems


def _reduced(file: Path) -> None:
    try:
        from PIL import Image
    except ImportError:
        return
    with Image.open(file) as picture:
        reduced = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    reduced.save(file, optimize=True)


def main() -> None:
    problems = make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
    for problem in problems:
        print(f"problem: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
