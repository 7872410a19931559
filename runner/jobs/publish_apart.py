"""One page apart from the others: where it cannot be made, a page says so in its place, and all others are made.

What pages show may be others': machines send runs of which every number is made up. Whoever takes them looks whether
they can be shown; this is for what was overlooked there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from dashboards import live_pages
from dashboards.live_records import MessagePage
from runner.errors import LockstepError, fault
from runner.judging import statistics
from runner.judging.report import Report

TITLE = "This page could not be made."
log = logging.getLogger(__name__)


def put(file: Path, text: str) -> None:
    """Write a file of a site that is being made; what UTF-8 cannot hold becomes a question mark.

    One of the old site, which may be there as a link, stays as it is. On disk are all when the site is
    (`exchange.flush`).
    """
    file.unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8", errors="replace")


def page(make: Callable[[], str], root: str, *, served: bool) -> str:
    """What `make` returns, or a page that says why there is none; `root` leads to the site's first folder.

    What is wrong with the disk, or is said in words, is raised: it concerns the whole site.
    """
    try:
        return make()
    except (LockstepError, OSError):
        raise
    except Exception as error:
        log.error("a page could not be made", exc_info=error)
        text = f"It is {fault(error)}: report it. What was measured is safe."
        return live_pages.message(MessagePage(title=TITLE, text=text), root, served=served)


def report(folder: Path) -> Report:
    """The report of a run, as `statistics.report_of`; without its noise where that cannot be told of its numbers."""
    try:
        return statistics.report_of(folder)
    except LockstepError:
        raise
    except Exception:
        return statistics.report_of(folder, with_noise=False)
