"""Two sites that no measurement ever made, and where on them there is a page of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from made_files import HOST, results
from made_runs import MACHINE, arm, make_run, make_runs, some_benchmarks, spoil
from samples import Quiet, benchmark

from runner import jobs
from runner.history import events as events_of
from runner.history.events import Affected, Entry, Event, State
from runner.judging import compare
from runner.model import Arm, Cause, Commit, Failure, Metric, Notice
from runner.report import as_html
from runner.storage import explanations, imports, store
from runner.storage.explanations import Count, Kept
from runner.storage.imports import Imported

PAGES: Mapping[str, tuple[str, Callable[[Path], Path]]] = {
    "overview": ("site", lambda site: site / "index.html"),
    "runs": ("site", lambda site: site / "runs" / "index.html"),
    "comparison": ("site", lambda site: max(
        path for path in (site / "runs").glob("2*.html") if path.suffixes == [".html"])),
    "report": ("site", lambda site: site.parent / "report.html"),
    "benchmark": ("site", lambda site: min((site / "benchmarks").glob("work.Case0*1KiB*.html"))),
    "trust": ("site", lambda site: site / "trust.html"),
    "benchmarks": ("across", lambda site: site / "benchmarks" / "index.html"),
    "compare": ("across", lambda site: site / "compare.html"),
    "changes": ("across", lambda site: site / "events" / "index.html"),
    "event": ("across", lambda site: min((site / "events").glob("main-*.html"))),
    "releases": ("across", lambda site: site / "releases.html"),
    "health": ("across", lambda site: site / "health.html"),
    "imported": ("across", lambda site: site / "imported.html"),
}
"""Each kind of page, the report that every run has of its own among them: the fixture whose site has one, and which."""


def place(site: Path, kind: str) -> Path:
    """The page of a kind; `site` is what the fixture that `PAGES` names gives."""
    return PAGES[kind][1](site)


def make_nights(folder: Path) -> Path:
    """A site of twelve nights, the last with benchmarks in all states, warnings and names that are HTML."""
    make_runs(folder / "runs", 12, 24)
    evil = benchmark('work.time_<img src=x onerror=alert(1)>')
    make_run(folder / "runs", 13, [*some_benchmarks(24), evil], changed=0.05, machine={**MACHINE, "cpu": "<b>CPU</b>"},
             head=arm("<script>alert(2)</script>"), notices=(Notice(kind="steal", numbers={"share": 0.2}),))
    last = max((folder / "runs").iterdir())
    keys = [one.key for one in some_benchmarks(24)][::-1]
    skip = Failure(reason="not for <b>this</b> size", arm=None, cause=Cause.SKIPPED)
    raised = Failure(reason="raised ValueError: " + "a long text of its author's " * 8, arm=Arm.HEAD, detail=(
        'Traceback (most recent call last):\n  File "/suite/work.py", line 7, in time_it\nValueError: a long text'))
    states = [skip] * 4 + [replace(skip, arm=Arm.HEAD)] + [raised] * 5 + [2, 2, 2]
    spoil(last, dict(zip(keys, states, strict=False)))
    (folder / "report.html").write_text(as_html.render(compare.report(store.read(last))))
    (last / "report.html").write_bytes((folder / "report.html").read_bytes())
    explanations.add(last, [Kept(key=some_benchmarks(1)[0].key, text="More <b>work</b>.", notes=(), work=(), functions=(
        Count(name="<img src=x onerror=alert(3)>", base=1.0, head=5000.0),))])
    jobs.publish(jobs.PublishRequest(out=folder / "site", runs=folder / "runs"), Quiet())
    return folder / "site"


def make_across(folder: Path) -> Path:
    """The site of `make_history`."""
    make_history(folder)
    jobs.publish(jobs.PublishRequest(
        out=folder / "site", runs=folder / "runs", state=folder / "state",
        commit_url="https://example.org/commit/{hash}"), Quiet())
    return folder / "site"


def make_history(folder: Path) -> None:
    """Fourteen nights of two machines, two releases against a third, and events in several states."""
    make_runs(folder / "runs", 12, 40)
    suite = [*some_benchmarks(40), benchmark("work.Case3.peakmem_<i>", Metric.PEAK_MEMORY)]
    for number in (12, 13):
        make_run(folder / "runs", number, suite, changed=0.05, machine={**MACHINE, "fingerprint": "fedcba9876543210"})
    for number, version in enumerate(("3.13.5", "3.14.0"), start=14):
        base, head = (replace(arm(f"cpython@{one}"), version=one) for one in ("3.10.4", version))
        make_run(folder / "runs", number, suite, changed=0.2, base=base, head=head)
    for number, (base_spec, head_spec, changed) in enumerate(
        [("old anchor", "early", 0.04), ("old anchor", "new anchor", 0.1), ("new anchor", "late", 0.02)]
    ):
        make_run(folder / "runs", number + 1, suite[:8], changed=changed, base=arm(base_spec), head=arm(head_spec),
                 seed=1, suite="/other", id=f"20230101T00000{number}Z-00000{number}")
    run = max((folder / "runs").iterdir()).name
    key = some_benchmarks(1)[0].key

    def commit(number: int) -> Commit:
        return Commit(hash=f"{number:x}" * 40, date=1.7e9, subject=f"Change <b>{number}</b>", repository="r")

    fixed = Entry(when=1.7e9, state=State.FIXED, who="Ada", note="done")
    events: list[tuple[events_of.Direction, tuple[Entry, ...]]] = [("slower", ()), ("faster", ()), ("slower", (fixed,))]
    for number, (direction, entries) in enumerate(events, start=2):
        events_of.write(folder / "state" / "events", Event(
            watch="main", configuration="pgo&lto", machine=str(MACHINE["fingerprint"]), suite="/suite", run=run,
            direction=direction, kind="step", good=commit(1), bad=commit(number), between=1 if number < 4 else 7,
            benchmarks=tuple(Affected(benchmark=name, ratio=1.03, low=1.02, high=1.04, p=1e-6, run=run)
                             for name in (key, "work.gone")),
            command="lockstep ab a b", opened=1.7e9, functions=("f +12 %",), entries=entries))
    for number, names in enumerate((("telco", "<i>nqueens</i>"), ("telco", "json_loads"), ("telco",))):
        imports.add(folder / "state" / imports.FOLDER, Imported(
            id=f"20260101T00000{number}Z-00000{number}", imported=1.7e9 + number, build=f"3.13.{number} <b>x</b>",
            commit=f"{number}" * 40, machine="box", files=(results(
                dict.fromkeys(names, 1e-3 * (1 + number / 20)), seed=number, started=1.7e9 + 86_400 * number,
                metadata={**HOST, "python_version": "<u>3</u>"}),)))
    (folder / "state" / imports.FOLDER / "broken.json").write_text("{")
