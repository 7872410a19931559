"""The side that asks: a comparison whose blocks are measured by the machines of a fleet, and kept here."""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from runner import config, suites
from runner.errors import MachineError, UsageError
from runner.fleet import records
from runner.fleet.link import Connection, Door
from runner.fleet.records import Opened
from runner.fleet.work import Kept, Link, Terms, Work, ask_all, close_all
from runner.jobs.ab import AbRequest, Finished, View, not_its_schedule
from runner.jobs.combine import combined
from runner.jobs.continuing import SAME
from runner.judging import combine, compare
from runner.judging.report import Report
from runner.measuring.deal import Deal, Place, hands
from runner.measuring.plan import Plan
from runner.model import Notice
from runner.storage import origin, store
from runner.storage.store import Fleet, Manifest
from runner.suites import fingerprint

GATHERING = 30.0
"""Seconds for the first machine to be there."""
SETTLING = 2.0
"""Seconds without a further one after which all are taken to be there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetRequest:
    """Where a comparison is to be measured."""

    door: Door
    replicates: int = 1
    """Machines that measure each benchmark, each in a run of its own; they are judged together."""
    patience: float = 60.0
    """Seconds after which others go on with what a machine that is away has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleeted:
    """What a fleet has measured."""

    finished: tuple[Finished, ...]
    """A run for each replicate."""
    together: Report | None
    """Of several replicates, judged together; None of one, and where they were interrupted."""


def ab_on(request: AbRequest, fleet: FleetRequest, view: View) -> Fleeted:
    """Compare two interpreters with a fleet. Raises UsageError, BuildError or MachineError as `jobs.ab` does.

    An interruption while measuring ends the measuring, and is told in what comes back.
    """
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    request = replace(
        request, seed=seed, base=_anywhere(request.base), head=_anywhere(request.head), suite=_suite(request.suite))
    with _connected(fleet.door) as link:
        hosts = _gathered(link, view)
        if fleet.replicates > len(hosts):
            raise UsageError(f"--replicate {fleet.replicates}: each machine measures a benchmark once, and there are "
                             f"{len(hosts)}: {', '.join(hosts)}.")
        view.phase(f"getting ready on {', '.join(hosts)}")
        try:
            opened = ask_all(link, hosts, records.request.dump_json(request).decode())
            manifests = _manifests(request, fleet, opened)
            root = config.runs_folder(request.out)
            folders = [store.create(root, manifest) for manifest in manifests]
        except BaseException:
            close_all(link, hosts.values())  # else those that are ready kept their copies until their next comparison
            raise
        return _measure(folders, fleet, link, view, opened)


def resume(folder: Path, fleet: FleetRequest, view: View) -> Fleeted:
    """Go on with a run of a fleet, and with all that were measured together with it, as if nothing had happened.

    Those of its machines that are there go on with what they have begun; others are not taken. Raises as `ab_on`.
    """
    origin.refuse(folder, "Resume it there, and upload it again.")
    manifest = store.read_manifest(folder)
    if manifest.fleet is None:
        raise UsageError(f"one machine has measured {folder.name}, and it alone can go on with it: `lockstep resume` "
                         "there, without --fleet.")
    folders = [folder.parent / id for id in manifest.fleet.runs]
    for other in folders:
        if not store.ID.fullmatch(other.name) or other.parent != folder.parent:
            raise UsageError(f"{folder.name} names {other.name!r} among its runs, which is no run.")
        origin.refuse(other, "Resume it there, and upload it again.")
    with _connected(fleet.door) as link:
        _gathered(link, view)
        return _measure(folders, fleet, link, view, {})


def _anywhere(named: str) -> str:
    """An interpreter as it is named in any folder: agents work in others."""
    return str(Path(named).absolute()) if "/" in named and Path(named).exists() else named


def _suite(named: str | None) -> str | None:
    if named is None or not Path(named).exists():
        return named
    place = str(Path(named).absolute())
    return place if suites.open(named).place == suites.open(place).place else named


@contextmanager
def _connected(door: Door) -> Iterator[Connection]:
    link = Connection(door)
    try:
        yield link
    finally:
        link.close()


def _gathered(link: Link, view: View) -> dict[str, str]:
    """The machines that are there, in the order of their names. Raises MachineError where none comes."""
    view.phase("waiting for machines")
    begun = changed = time.monotonic()
    found: dict[str, str] = {}
    while not found or time.monotonic() - changed < SETTLING:
        here = link.hosts()
        if here != found:
            found, changed = here, time.monotonic()
        elif not found and time.monotonic() - begun > GATHERING:
            raise MachineError("no machine is at work for this fleet. On each: `lockstep agent --dask ADDRESS` "
                               "(docs/fleet.md).")
        time.sleep(0.1)
    return dict(sorted(found.items()))


def _manifests(request: AbRequest, fleet: FleetRequest, opened: Mapping[str, Opened]) -> list[Manifest]:
    """The manifests of the runs: what the machines have found, which must be one comparison. Raises UsageError."""
    found = {name: one.manifest for name, one in opened.items()}
    name, first = next(iter(found.items()))
    for other, manifest in found.items():
        agree(name, first, other, manifest)
    assert request.seed is not None
    now = time.time()
    ids = tuple(store.new_id(now) for _ in range(fleet.replicates))
    shared = Fleet(
        address=fleet.door.address, runs=ids,
        hands=hands(first.benchmarks, seed=request.seed, hosts=len(found), budget=request.budget is not None),
        hosts={name: {**one.machine, "pinned": one.worker_cpu} for name, one in found.items()},
        request=records.request.dump_python(replace(request, out=None), mode="json"),
    )
    budget = None if request.budget is None else request.budget * len(found) / fleet.replicates
    return [
        replace(
            first, id=id, created=now, command=_command(first, fleet), seed=request.seed + number, budget=budget,
            machine=combine.merged([one.machine for one in found.values()]), worker_cpu=None, environment={},
            copies=all(one.copies for one in found.values()), calibration=None,
            addresses=all(one.addresses for one in found.values()), fleet=shared, notices=tuple(_notices(found)),
        )
        for number, id in enumerate(ids)
    ]


def _command(manifest: Manifest, fleet: FleetRequest) -> str:
    words = ["--fleet", fleet.door.address]
    if fleet.door.certificates is not None:
        words += ["--certificates", str(fleet.door.certificates)]
    if fleet.replicates > 1:
        words += ["--replicate", str(fleet.replicates)]
    return f"{manifest.command} {shlex.join(words)}"


def _notices(found: Mapping[str, Manifest]) -> Iterator[Notice]:
    """What the machines have to say: once where all say it, else with the name of the one that does."""
    for name, manifest in found.items():
        for notice in manifest.notices:
            if not all(notice in other.notices for other in found.values()):
                yield replace(notice, numbers={**notice.numbers, "of_host": name})
            elif manifest is next(iter(found.values())):
                yield notice


def agree(name: str, one: Manifest, other_name: str, other: Manifest) -> None:
    """Raise UsageError where two machines would not measure the same thing; both are named."""
    pair = f"the machines {name} and {other_name} do not measure the same thing"
    for arm, mine, its in (("base", one.base, other.base), ("head", one.head, other.head)):
        if mine.identity != its.identity:
            raise UsageError(
                f"{pair}: as {arm}, {mine.spec} is {mine.identity[:16]} on the first and {its.identity[:16]} on the "
                "second. A build is told by its source, its flags and the compiler's version, a ready-made interpreter "
                "by its file: give both machines the same."
            )
        if mine.packages != its.packages:
            raise UsageError(f"{pair}: {mine.spec} has other packages on the second.")
    if one.suite_files != other.suite_files:
        differ = fingerprint.differences(one.suite_files, other.suite_files)
        raise UsageError(f"{pair}: the suite {one.suite} is another on the second: {', '.join(differ[:3])}.")
    for what, mine_, its_ in (
        ("scope", one.scope, other.scope), ("version of Lockstep", one.versions.get("lockstep"),
                                            other.versions.get("lockstep")),
    ):
        if mine_ != its_:
            raise UsageError(f"{pair}: the {what} is {mine_} on the first and {its_} on the second.")
    keys, others = ([(b.key, b.version) for b in manifest.benchmarks] for manifest in (one, other))
    if keys != others:
        strange = sorted({key for key, _ in set(keys) ^ set(others)}) or ["their order"]
        raise UsageError(f"{pair}: they find other benchmarks: {', '.join(strange[:3])}.")


def _same_machine(name: str, then: Mapping[str, object], now: Mapping[str, object]) -> None:
    for fact, word in SAME.items():
        if None not in (then.get(fact), now.get(fact)) and then[fact] != now[fact]:
            raise UsageError(f"{name} is not the machine that it was when the run began: its {word} was {then[fact]}, "
                             f"and is {now[fact]}")


def _measure(
    folders: Sequence[Path], fleet: FleetRequest, link: Link, view: View, opened: Mapping[str, Opened]
) -> Fleeted:
    interrupted = False
    with ExitStack() as stack:
        runs = [stack.enter_context(store.appending(folder)) for folder in folders]
        manifests = [run.run.manifest for run in runs]
        shared = manifests[0].fleet
        assert shared is not None
        deal = _deal(runs, manifests)

        def keep(kept: Kept) -> None:
            runs[kept.place.replicate](kept.measured.block)
            if kept.measured.addresses is not None and kept.measured.block.layout is not None:
                store.add_layout(folders[kept.place.replicate], kept.measured.block.layout, kept.measured.addresses)

        def check(name: str, found: Opened) -> None:
            agree(next(iter(shared.hosts)), manifests[0], name, found.manifest)
            _same_machine(name, shared.hosts[name], found.manifest.machine)

        terms = Terms(
            opening=records.request.dump_json(_request(shared)).decode(), hosts=tuple(shared.hosts), check=check,
            keep=keep, patience=fleet.patience,
        )
        work = Work(link, deal, terms, view)
        try:
            work.run({name: one.session for name, one in opened.items()})
        except KeyboardInterrupt:
            interrupted = True
        finally:
            work.close()
    finished = tuple(
        Finished(folder=folder, report=compare.report(run.run), interrupted=interrupted)
        for folder, run in zip(folders, runs, strict=True)
    )
    together = combined(folders) if len(folders) > 1 and not interrupted else None
    return Fleeted(finished=finished, together=together)


def _request(shared: Fleet) -> AbRequest:
    return records.request.validate_python(shared.request, strict=False)


def _deal(runs: Sequence[store.Appender], manifests: Sequence[Manifest]) -> Deal:
    """Who measures what, with all that is stored. Raises UsageError for blocks that nobody asked for."""
    shared = manifests[0].fleet
    assert shared is not None

    def make(place: Place) -> Plan:
        manifest = manifests[place.replicate]
        return Plan(
            manifest.benchmarks, seed=manifest.seed, margin=manifest.margin,
            budget=None if manifest.budget is None else manifest.budget / len(shared.hands),
            repeats=manifest.repeats if manifest.scope == "source" else None, blocks=manifest.blocks,
            # It tells of the machine: one on each, and not one with each hand.
            canary=place.hand < len(shared.hosts), hand=shared.hands[place.hand],
        )

    deal = Deal(shared.hands, make, replicates=len(runs), apart=manifests[0].budget is None)
    for number, run in enumerate(runs):
        try:
            deal.replay(number, run.run.blocks)
        except ValueError as error:
            raise not_its_schedule(run.run.folder, error) from error
    return deal
