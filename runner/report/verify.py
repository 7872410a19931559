"""What was found of two interpreters' behaviour, for the terminal and for programs.

Format history of the JSON
--------------------------
lockstep.verified/1  The first. Keys may be added; none is removed or changes its meaning within a version.
"""

from __future__ import annotations

import json as json_
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from runner.judging.behaviour import Difference, Verified, unseen
from runner.model import Arm, Interpreter
from runner.report.text import clean, plain_table, print_to_text
from runner.verifying.own_tests import BAD, PASSED, SKIPPED, Module

SCHEMA = "lockstep.verified/1"
SHOWN = 20
"""Tests that are listed in full."""
LONGEST = 300
"""Characters of what an arm says."""


def render(verified: Verified, *, width: int = 100, color: bool = False) -> str:
    """Differences first, tests before sequences, each with what shows it; then what was looked at."""
    parts: list[RenderableType] = [
        clean(f"{arm.value}  {interpreter.spec} ({_named(interpreter)})")
        for arm, interpreter in ((Arm.BASE, verified.base), (Arm.HEAD, verified.head))
    ]
    parts += [Text(), _headline(verified)]
    for number, difference in enumerate(verified.differences):
        if number == SHOWN:
            parts += [Text(), Text(f"and {len(verified.differences) - SHOWN} more")]
            break
        parts += [Text(), *_difference(difference)]
    if verified.modules:
        parts += [Text(), *_tests(verified)]
    if verified.searched is not None:
        parts += [Text(), *_search(verified)]
    parts += [clean(f"warning: {problem}", "yellow") for problem in verified.problems]
    return print_to_text(parts, width=width, color=color)


def told(difference: Difference) -> str:
    """A difference in plain lines, for a message."""
    return "\n".join(text.plain for text in _difference(difference))


def json(verified: Verified) -> str:
    """All of it as strict JSON; times in seconds, ``after`` null for a test, ``search`` null where none was made."""
    searched = verified.searched
    content = {
        "schema": SCHEMA,
        **{arm.value: {"spec": one.spec, "version": one.version, "implementation": one.implementation}
           for arm, one in ((Arm.BASE, verified.base), (Arm.HEAD, verified.head))},
        "differences": [
            {"what": one.what, "kind": "test" if one.after is None else "sequence", "script": one.script,
             "base": one.base, "head": one.head, "sources": list(one.kinds), "after": one.after}
            for one in verified.differences],
        "known": list(verified.known),
        "tests": [
            {"module": module.name, **{arm.value: dict(module.counts[arm]) for arm in Arm},
             "odd": [{"test": one.test, **{arm.value: {"word": outcome.word, "reason": outcome.reason}
                                           for arm, outcome in ((Arm.BASE, one.base), (Arm.HEAD, one.head))}}
                     for one in module.odd],
             "unsteady": list(module.unsteady)} for module in verified.modules],
        "search": None if searched is None else {
            "sequences": searched.sequences, "operations": searched.statements, "seconds": searched.seconds,
            "sources": list(searched.kinds), "seed": searched.seed},
        "problems": list(verified.problems),
    }
    return json_.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _named(interpreter: Interpreter) -> str:
    name = {"cpython": "CPython", "pypy": "PyPy"}.get(interpreter.implementation, interpreter.implementation)
    return f"{name} {interpreter.version}"


def _headline(verified: Verified) -> Text:
    count = len(verified.differences)
    if count:
        return Text(f"{count} {'difference' if count == 1 else 'differences'} in behaviour", style="bold red")
    idle = [arm.value for arm in Arm if not any(module.counts[arm].get(PASSED) for module in verified.modules)]
    if verified.modules and idle:
        where = "" if len(idle) == len(Arm) else f" in {idle[0]}"
        return Text(f"no difference found, and none of CPython's own tests ran{where}", style="bold yellow")
    if unseen(verified.modules):
        return Text("no difference found, and not all of CPython's own tests were run", style="bold yellow")
    return Text("no difference in behaviour found", style="bold green")


def _difference(difference: Difference) -> Iterator[Text]:
    yield clean(difference.what, "bold")
    if difference.after is None:
        yield Text.assemble("  base: ", clean(_short(difference.base)))
        yield Text.assemble("  head: ", clean(_short(difference.head)))
        yield Text(f"  to see it: python {difference.script}", no_wrap=True)
        return
    yield Text(f"  seen after {difference.after:.1f} s of searching; this shows it:")
    yield Text()
    for line in difference.script.splitlines():
        yield Text(f"    {line}", no_wrap=True)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"


def _tests(verified: Verified) -> Iterator[RenderableType]:
    table = plain_table()
    for name in ("CPython's own tests", "base", "head"):
        table.add_column(name, no_wrap=True)
    for module in verified.modules:
        table.add_row(clean(module.name), *(_count(module, arm) for arm in Arm))
    yield table
    for module in verified.modules:
        for word, arm, other in ((f"{SKIPPED} or missing", arm, arm.other) for arm in Arm):
            apart = [one for one in module.odd if not one.differs and _of(one, arm) not in (PASSED, *BAD)]
            if apart:
                yield clean(f"{module.name}: {len(apart)} {word} in {arm.value} and not in {other.value}, such as "
                            f"{apart[0].test}", "dim")
        if module.unsteady:
            yield clean(f"{module.name}: {len(module.unsteady)} ended differently at first, and alike when they were "
                        f"tried again, such as {module.unsteady[0]}", "dim")
    if verified.known:
        yield clean(f"differ, as you have said: {', '.join(verified.known)}", "dim")


def _of(one: object, arm: Arm) -> str:
    return str(getattr(one, arm.value).word)


def _count(module: Module, arm: Arm) -> Text:
    counts = module.counts[arm]
    bad = sum(counts.get(word, 0) for word in BAD)
    words = f"{counts.get(PASSED, 0)} passed"
    if counts.get(SKIPPED):
        words += f", {counts[SKIPPED]} skipped"
    return Text(words + (f", {bad} went wrong" if bad else ""), style="red" if bad else "")


def _search(verified: Verified) -> Iterator[Text]:
    searched = verified.searched
    assert searched is not None
    yield Text(f"{searched.sequences:,} sequences with {searched.statements:,} operations on io.BytesIO in both arms, "
               f"{searched.seconds:.0f} s of searching{', and making short what was found' if searched.found else ''}, "
               f"seed {searched.seed}")
    yield Text(f"made from: {', '.join(searched.kinds)}", style="dim")
