"""A commit in the words of a page, and where it can be looked at."""

from __future__ import annotations

import time
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from dashboards.history_records import CommitLine, Range
from runner.errors import UsageError
from runner.history import points
from runner.history.runs import Side
from runner.judging.report import Report
from runner.model import Commit

SHORT = 10
"""Digits of a hash that are shown."""
HERE = "{hash}"
"""What stands for the hash in an address of commits."""


def check(url: str) -> str:
    """Return an address of commits: ``https://github.com/python/cpython/commit/{hash}``, or empty for none.

    Raises UsageError for one that a page could not lead to.
    """
    if url and (HERE not in url or urlsplit(url).scheme not in ("http", "https")):
        raise UsageError(f"{url!r} is no address of commits: it begins with https:// and has {HERE} where the hash "
                         f"goes, as https://github.com/python/cpython/commit/{HERE}.")
    return url


def line(commit: Commit, url: str) -> CommitLine:
    """A commit as pages show it; `url` is an address of commits, or empty."""
    return shown(commit.hash, subject=commit.subject, date=commit.date, url=url)


def shown(hash: str, *, subject: str, date: float, url: str) -> CommitLine:
    """The same from its parts; `date` in seconds since the epoch."""
    return CommitLine(
        hash=hash, short=hash[:SHORT], subject=subject, day=time.strftime("%Y-%m-%d", time.gmtime(date)),
        link=url.replace(HERE, quote(hash, safe="")) if url else "",
    )


def between(good: Commit, bad: Commit, count: int, url: str) -> Range:
    """The commits that may have made a change; `count` as in `Range.between`."""
    return Range(good=line(good, url), bad=line(bad, url), between=count)


def words(commit: Commit) -> str:
    """A commit in one line: ``0123456789 Subject, 2026-11-28``."""
    one = line(commit, "")
    return f"{one.short} {one.subject}, {one.day}"


def label(side: Side) -> str:
    """A build in a list: its commit, where it was made of one, else what the user typed."""
    made = points.commit(side)
    return side.spec if made is None else f"{made.hash[:SHORT]} {made.subject}"


def step(before: Side, after: Side) -> str:
    """Where a level changed between two neighbours of a history: the later one; and the range, where others lie between
    that were not measured."""
    first, last = points.commit(before), points.commit(after)
    if first is None or last is None or first.position is None or last.position is None:
        return label(after)
    count = last.position - first.position
    # Not above 0 where runs made by hand, which are in the order of measuring, stand among those of a watch.
    return label(after) if count <= 1 else f"one of {count} commits after {first.hash[:SHORT]} up to {label(after)}"


def linked(one: CommitLine) -> Markup:
    """A commit inside a sentence of a page."""
    code = Markup("<code>{}</code>").format(one.short)
    place = Markup('<a href="{}">{}</a>').format(one.link, code) if one.link else code
    return Markup("{} {}, {}").format(place, one.subject, one.day)


def facts(report: Report, url: str) -> list[tuple[str, Markup]]:
    """The commits that a run's arms were made of."""
    made = [(f"{name}'s commit", side.get("commit")) for name, side in (("base", report.base), ("head", report.head))]
    return [
        (name, linked(shown(one["hash"], subject=one["subject"], date=one["date"], url=url)))
        for name, one in made if one
    ]
