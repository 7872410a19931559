"""``python tests/costs/publish.py``: what publishing costs, printed; asserted nowhere.

    python tests/costs/publish.py --runs 1000 --benchmarks 100
"""

from __future__ import annotations

import argparse
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))

from made_runs import make_run, make_runs, some_benchmarks  # noqa: E402

LOCKSTEP = Path(sys.executable).with_name("lockstep")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--benchmarks", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="keep the runs and the site in this folder, and use what runs it has")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="lockstep-costs-"))
    try:
        if not (folder / "runs").is_dir():
            print(f"making {options.runs} runs of {options.benchmarks} benchmarks", flush=True)
            make_runs(folder / "runs", options.runs, options.benchmarks)
        print(time.strftime("%Y-%m-%d"), platform.machine(), platform.release())
        shutil.rmtree(folder / "site", ignore_errors=True)
        (folder / "runs.sqlite").unlink(missing_ok=True)
        told("first time", folder)
        told("nothing new", folder)
        make_run(folder / "runs", options.runs + int(time.time()) % 100_000, some_benchmarks(options.benchmarks))
        told("one run added", folder)
        heaviest = max((folder / "site").rglob("*.html"), key=lambda path: path.stat().st_size)
        print(f"heaviest page: {heaviest.relative_to(folder)}, {heaviest.stat().st_size / 1e6:.2f} MB")
        shown(heaviest)
    finally:
        if options.keep is None:
            shutil.rmtree(folder)


def told(what: str, folder: Path) -> None:
    """Time and memory of one `lockstep publish`, its own processes included."""
    begun = time.perf_counter()
    subprocess.run([LOCKSTEP, "publish", "--no-asv", "--runs", folder / "runs", "--to", folder / "site"], check=True,
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
