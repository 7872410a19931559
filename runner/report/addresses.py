"""Where things are on the site."""

from __future__ import annotations

import hashlib
import re


def slug(key: str) -> str:
    """A benchmark's name in an address: its letters, digits and underscores, and some of its hash: names stay apart."""
    return f"{re.sub(r'[^A-Za-z0-9_.]+', '-', key).strip('-')[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:6]}"


def benchmark(key: str, root: str) -> str:
    """The page of a benchmark; `root` leads from the page with the link to the site's first folder."""
    return f"{root}benchmarks/{slug(key)}.html"


def run(id: str, root: str) -> str:
    """The page of a run, as `benchmark`."""
    return f"{root}runs/{id}.html"
