"""``python tests/costs/publish.py``: what publishing costs, printed; asserted nowhere.

    python tests/costs/publish.py --runs 1000 --benchmarks 100
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import time
from pathlib import Path

from asked import LOCKSTEP, folder, options
from made_runs import make_run, make_runs, some_benchmarks


def main() -> None:
    asked = options(str(__doc__), runs=1000, benchmarks=100, keeps="the runs and the site")
    with folder(asked) as place:
        if not (place / "runs").is_dir():
            print(f"making {asked.runs} runs of {asked.benchmarks} benchmarks", flush=True)
            make_runs(place / "runs", asked.runs, asked.benchmarks)
        shutil.rmtree(place / "site", ignore_errors=True)
        (place / "runs.sqlite").unlink(missing_ok=True)
        told("first time", place)
        told("nothing new", place)
        make_run(place / "runs", asked.runs + int(time.time()) % 100_000, some_benchmarks(asked.benchmarks))
        told("one run added", place)
        heaviest = max((place / "site").rglob("*.html"), key=lambda path: path.stat().st_size)
        print(f"heaviest page: {heaviest.relative_to(place)}, {heaviest.stat().st_size / 1e6:.2f} MB")
        shown(heaviest)


def told(what: str, place: Path) -> None:
    """Time and memory of one `lockstep publish`, its own processes included."""
    begun = time.perf_counter()
    subprocess.run([LOCKSTEP, "publish", "--no-asv", "--runs", place / "runs", "--to", place / "site"], check=True,
                   stdout=subprocess.DEVNULL)
    # The largest of its processes; there are as many as CPUs besides the first.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{what}: {time.perf_counter() - begun:.1f} s, largest process so far {peak:.0f} MiB", flush=True)


def shown(page: Path) -> None:
    """How long a browser takes to load a page and to sort and filter it."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("no browser: playwright is missing")
        return
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no browser: chromium is missing")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-background-networking"]
        )
        view = browser.new_page()
        begun = time.perf_counter()
        view.goto(page.as_uri())
        loaded = time.perf_counter() - begun
        own = view.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"in Chromium: loaded in {loaded:.2f} s (by its own clock {own / 1000:.2f} s)")
        browser.close()


if __name__ == "__main__":
    main()
