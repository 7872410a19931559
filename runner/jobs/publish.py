"""The order of steps of `lockstep publish`: the pages of all runs, asv's pages, and the exchange of the old site."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dashboards import pages
from runner import config, shell, stats, vendor
from runner.errors import BuildError, MachineError, UsageError
from runner.history import runs as history
from runner.history.runs import History
from runner.history.tables import csv
from runner.jobs import publish_apart as apart
from runner.jobs.ab import View
from runner.judging import calibration
from runner.judging.report import Report
from runner.owned import owned
from runner.report import calibration as calibration_report
from runner.report import commits, site
from runner.report.run_page import run_page, table
from runner.storage import asv_results, explanations, store
from runner.storage.exchange import exchange, flush
from runner.storage.index import Place

if TYPE_CHECKING:
    from runner.alerts.settings import Channels
    from runner.jobs import publish_history
    from runner.storage.nights import Night

STATE = "site.json"
"""What the site was made of, so that the next time only what is new has to be made."""
REPORT = "report.html"
"""A run's own report, in its folder."""
OWN = ".report.html"
"""What its name ends with on the site, after the run's id."""
PACKAGES = ("asv", "jinja2", "markdown-it-py", "numpy", "pandas", "scipy")
"""Packages that pages are made with."""
TOGETHER = 16
"""Benchmark pages from which on other processes help."""
_ASV_PUBLISH = """
import sys
from asv.commands.publish import Publish
from asv.config import Config
conf = Config.load(sys.argv[1])
conf.results_dir, conf.html_dir = sys.argv[2:]
Publish.run(conf, pull=False)
"""
"""What `asv publish --no-pull` does, from another folder of results."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishRequest:
    """A site as the user asked for it."""

    out: Path | None = None
    """Folder of the site; None: data/site of the project."""
    runs: Path | None = None
    """Folder of the runs; None: the project's."""
    index: Place | None = None
    """Their index; None: the file that belongs to the folder."""
    configuration: Path | None = None
    """asv's; None: leave asv's pages out."""
    fresh: bool = False
    """Make every page anew."""
    commit_url: str = ""
    """Where commits can be looked at, with ``{hash}`` where the hash goes; empty: they lead nowhere."""
    state: Path | None = None
    """Folder with nights and events; None: the project's."""
    channels: Channels | None = None
    """How people are told of events: where these are kept, and the site's address. None: as without a configuration."""
    night: Night | None = None
    """The night that makes the site, as it will end: on disk it is still under way. None: none does."""
    served: bool = False
    """Whether its pages lead to those that `lockstep serve` makes when they are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The site that was made."""

    folder: Path
    runs: int
    benchmarks: int
    made: int
    """Pages that were made anew; the others were there."""
    problems: tuple[str, ...]
    """Runs that could not be read, and what is missing of charts and of asv's pages."""


def publish(request: PublishRequest, view: View) -> Published:
    """Make the site beside the old one, and exchange them.

    Raises MachineError when it cannot be written; the old site is as it was then. Raises UsageError for an address of
    commits that is none.
    """
    from runner.jobs import publish_history  # all that can tell people of events: nothing that a measurement needs

    commits.check(request.commit_url)
    runs = config.runs_folder(request.runs)
    out = (request.out if request.out is not None else config.STATE / "site").absolute()
    problems: list[str] = []
    with _beside(out) as new:
        for name in ("runs", "benchmarks", "assets"):
            (new / name).mkdir()
        charts = _charts(new / "assets", problems, view)
        look = f"{_look(request.commit_url)}{' charts' * charts}{' served' * request.served}"
        old = {} if request.fresh else _state(out, look)
        beside = {place.name: _beside_run(place) for place in runs.iterdir()} if runs.is_dir() else {}
        before: Mapping[str, list[str]] = old.get("runs", {})
        kept = _keep(out / "runs", new / "runs", {id: there for id, (_, there) in before.items()}, beside)
        known = history.read(
            runs, request.index or config.index_file(request.runs), visit=partial(
                _write_run, new / "runs", runs, commit_url=request.commit_url, served=request.served),
            visited={id: before[id][0] for id in kept},
            told=lambda done, of: view.phase(f"reading run {done} of {of}"),
        )
        # A run that was removed, or cannot be read any more, has no page.
        names = {f"{entry.id}{suffix}" for entry in known.runs for suffix in (".html", ".csv", OWN)}
        for file in [file for file in (new / "runs").iterdir() if file.name not in names]:
            file.unlink()
        write = partial(_write_benchmark, new / "benchmarks", charts=charts, served=request.served)
        made, benchmarks = _benchmarks(known, runs, out, new, old, view, write)
        view.phase("writing the other pages")
        problems += known.problems
        asv_state = _asv(request, out, new, old, problems, view)
        across = publish_history.write(publish_history.Site(
            known=known, new=new, out=out, commit_url=request.commit_url, link=_link,
            channels=request.channels, night=request.night, served=request.served,
            state=request.state if request.state is not None else config.STATE,
        ), old.get("compare", {}), problems)
        _others(known, new, across, asv=asv_state is not None, served=request.served)
        apart.put(new / STATE, json.dumps({
            "look": look, "runs": {entry.id: [entry.stamp, beside.get(entry.id, "")] for entry in known.runs},
            "benchmarks": benchmarks, "asv": asv_state, "compare": across.compared,
        }) + "\n")
        flush(new)  # all at once: with many machines these are tens of thousands of files
        exchange(new, out)
    return Published(
        folder=out, runs=len(known.runs), benchmarks=len(benchmarks), made=made + len(known.fresh),
        problems=tuple(problems),
    )


def _state(out: Path, look: str) -> Mapping[str, Any]:
    """What the old site was made of; nothing where there is none, or the pages looked otherwise."""
    try:
        state = json.loads((out / STATE).read_text(encoding="utf-8"))
        return state if state["look"] == look else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _look(commit_url: str) -> str:
    """Hash of all that decides what a page looks like, given its content: templates, figures, words, mathematics, what
    a series is, packages of others, and where links to commits lead."""
    code = (Path(file).parent for file in (site.__file__, stats.__file__, history.__file__))
    folders = (pages.HERE, *code)
    places = [path for folder in folders for suffix in ("j2", "py") for path in sorted(folder.rglob(f"*.{suffix}"))]
    places += sorted(Path(__file__).parent.glob("publish*.py"))
    versions = [f"{name} {version(name)}" for name in PACKAGES]
    digest = hashlib.sha256("\n".join([commit_url, *versions]).encode())
    for place in places:
        digest.update(place.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    """A new folder on the site's disk, in one of our own beside it; gone at the end, whatever it holds then.

    What a publishing that was killed has left is removed.
    """
    with contextlib.ExitStack() as stack:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            # One folder further down: what holds the lock does not become the site.
            new = stack.enter_context(owned(f".{out.name}.new-", out.parent)) / "site"
            new.mkdir()
        except OSError as error:
            raise MachineError(f"cannot write beside {out}: {error.strerror}") from error
        try:
            yield new
        except OSError as error:
            raise MachineError(
                f"cannot write the site: {error.strerror}: {error.filename}. The old one is as it was."
            ) from error


def _link(source: Path | str, target: Path | str) -> bool:
    """The same file in the new site, without copying it where possible; whether there was one."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    except OSError:
        shutil.copy2(source, target)
    return True


def _charts(assets: Path, problems: list[str], view: View) -> bool:
    """Put what charts are drawn with beside the pages; whether it could be had. There are figures anyway."""
    view.phase("getting what charts are drawn with")
    try:
        vendor.put(assets, vendor.read(config.ROOT / "data" / "vendor.toml"), pages.CHARTS)
    except (BuildError, UsageError) as error:
        problems.append(f"histories are figures, and no charts to zoom into: {error}")
        return False
    return True


def _keep(old: Path, new: Path, before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Take the pages of runs over, where what lies beside the run is as it was; the ids of those that are whole."""
    kept = []
    for id in [id for id, beside in before.items() if now.get(id) == beside]:
        own = [name] if (old / (name := f"{id}{OWN}")).is_file() else []
        if all(_link(old / name, new / name) for name in (f"{id}.html", f"{id}.csv", *own)):
            kept.append(id)
    return kept


def _beside_run(folder: Path) -> str:
    """Changes whenever what a run's page shows beside the run itself does: its explanations and its own report."""
    found = []
    for name in (explanations.FILE, REPORT):
        try:
            state = (folder / name).stat()
            found.append(f"{state.st_size} {state.st_mtime_ns}")
        except OSError:
            found.append("")
    return ", ".join(found)


def _write_run(pages_of_runs: Path, runs: Path, report: Report, *, commit_url: str, served: bool) -> None:
    """The page of a run, its table and its own report; in the place of old ones, which another site may share."""
    own = f"{report.run}{OWN}"
    (pages_of_runs / own).unlink(missing_ok=True)
    there = _link(runs / report.run / REPORT, pages_of_runs / own)
    explained: Sequence[explanations.Kept] = ()
    problems: list[str] = []
    try:
        explained = explanations.read(runs / report.run)
    except UsageError as error:
        problems.append(str(error))

    def made() -> str:
        page = run_page(report, explained=explained, own_report=own if there else "", commit_url=commit_url)
        return pages.run(replace(page, warnings=[*page.warnings, *problems]), served=served)

    apart.put(pages_of_runs / f"{report.run}.html", apart.page(made, "../", served=served))
    apart.put(pages_of_runs / f"{report.run}.csv", csv(table(report)).decode())


def _benchmarks(
    known: History, runs: Path, out: Path, new: Path, old: Mapping[str, Any], view: View,
    write: Callable[[Task], None],
) -> tuple[int, dict[str, str]]:
    """The benchmarks' pages; how many were made anew, by `write`, and what each was made of."""
    before: Mapping[str, str] = old.get("benchmarks", {})
    work = []
    for one in known.benchmarks:
        name = site.slug(one.key)
        there = list((out / "benchmarks").glob(f"{name}.*")) if before.get(one.key) == one.stamp else []
        if not (there and all(_link(file, new / "benchmarks" / file.name) for file in there)):
            work.append(one)
    if work:
        # Of the runs that are some benchmark's last one: their blocks are drawn.
        last = {id: apart.report(runs / id) for id in sorted({one.last for one in work})}
        described = {id: store.read_manifest(runs / id).described for id in last}
        tasks = [(one.key, known, described[one.last], last[one.last]) for one in work]
        view.phase(f"writing the pages of {len(tasks)} benchmarks")
        if len(tasks) < TOGETHER:
            for task in tasks:
                write(task)
        else:
            # Forked where that is the way, the processes have the libraries already. One share for each: what the tasks
            # have in common, all entries, is sent only so many times.
            processes = shell.cpus()
            with shell.pool(processes) as pool:
                list(pool.map(write, tasks, chunksize=math.ceil(len(tasks) / processes)))
    return len(work), {one.key: one.stamp for one in known.benchmarks}


Task = tuple[str, History, Mapping[str, Mapping[str, str]], Report]
"""A benchmark's key, all runs, and of its last one what its benchmarks said of themselves then, and the report."""


def _write_benchmark(folder: Path, task: Task, *, charts: bool, served: bool) -> None:
    key, known, described, report = task
    rows, entries = known.of_benchmark(key, points=True), {entry.id: entry for entry in known.runs}
    last = next((one for one in report.comparisons if one.key == key), None)

    def made() -> str:
        page, tables = site.benchmark_page(key, rows, entries, described.get(str(rows["name"].iloc[-1])), last)
        for name, content in tables.items():
            apart.put(folder / name, csv(content).decode())
        return pages.benchmark(page, charts=charts, served=served)

    apart.put(folder / f"{site.slug(key)}.html", apart.page(made, "../", served=served))


def _others(known: History, new: Path, across: publish_history.Across, *, asv: bool, served: bool) -> None:
    for name in pages.ASSETS:
        apart.put(new / "assets" / name, pages.asset(name))
    made: Mapping[str, Callable[[], str]] = {
        "index.html": lambda: pages.overview(
            site.overview(known, across.attention, asv=asv, imported=across.imported), served=served),
        "runs/index.html": lambda: pages.runs(site.runs(known.runs), served=served),
        "trust.html": lambda: pages.trust(
            site.trust(_calibrations(), known, _evidence(), across.suspicions), served=served),
    }
    for name, make in made.items():
        apart.put(new / name, apart.page(make, "../" * name.count("/"), served=served))


def _calibrations() -> list[tuple[str, str]]:
    folders = sorted(config.calibrations_folder(None).glob(f"*/{calibration.SUMMARY}"))
    summaries = [calibration.read_summary(folder.parent) for folder in folders]
    return [
        (f"{summary.machine.get('cpu')} ({folder.parent.name[:8]})", calibration_report.section(summary))
        for folder, summary in zip(folders, summaries, strict=True) if summary is not None
    ]


def _evidence() -> str:
    """The generated part of docs/evidence.md."""
    try:
        text = (config.ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    except OSError:
        return ""
    _, mark, rest = text.partition("<!-- make rivals: begin -->")
    return rest.partition("<!-- make rivals: end -->")[0].strip() if mark else ""


def _asv(
    request: PublishRequest, out: Path, new: Path, old: Mapping[str, Any], problems: list[str], view: View
) -> str | None:
    """asv's own pages, made to work offline; what they were made of, None where there are none."""
    if request.configuration is None:
        return None
    results = asv_results.folder_of(request.configuration)
    made_of = _asv_made_of(request.configuration, results)
    if made_of is None:
        return None
    if old.get("asv") == made_of and (out / "asv").is_dir():
        shutil.copytree(out / "asv", new / "asv", copy_function=_link)
        return made_of
    view.phase("asv publish")
    readable, unreadable = asv_results.check(results)
    problems += [f"left out of asv's pages: {one}" for one in unreadable]
    with owned("lockstep-asv-") as scratch:
        # Without the files that asv cannot read: it passes over some, and ends at others.
        for file in readable:
            link = scratch / "results" / file.relative_to(results)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(file)
        ended = shell.run(
            [sys.executable, "-c", _ASV_PUBLISH, request.configuration.name, scratch / "results", new / "asv"],
            cwd=request.configuration.resolve().parent,
        )
    if ended.code or not (new / "asv" / "index.html").is_file():
        problems.append(f"asv publish failed, and its pages are left out: {' '.join(ended.output.split())[-400:]}")
        shutil.rmtree(new / "asv", ignore_errors=True)
        return None
    view.phase("getting what asv's pages load from elsewhere")
    try:
        vendor.provide(new / "asv", vendor.read(config.ROOT / "data" / "vendor.toml"))
    except BuildError as error:
        problems.append(f"asv's pages need internet access: {error}")
        return made_of + " online"
    return made_of


def _asv_made_of(configuration: Path, results: Path) -> str | None:
    """Hash of the results and of the configuration; None where there are no results."""
    files = sorted(results.rglob("*.json"))
    if not any(file.parent != results and file.name != "machine.json" for file in files):
        return None
    digest = hashlib.sha256(configuration.read_bytes())
    for file in files:
        state = file.stat()
        digest.update(f"{file.relative_to(results)} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]
