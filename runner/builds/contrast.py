"""How two interpreters differ, and which of the differences the request implies."""

from __future__ import annotations

from collections.abc import Callable

from runner.builds import compiling, modules, outcome, packages
from runner.model import Build, Difference, Installed, Interpreter


def differences(base: Interpreter, head: Interpreter) -> list[Difference]:
    """All that differs between two interpreters and can bear on speed: how they were made, then what they say.

    `asked` is whether the request implies it. Two builds with different edits were asked to differ in
    edits, two sources in version; a compiler or flag that differs between two ready-made interpreters
    was not asked for by anybody.
    """
    found: list[Difference] = []

    def note(what: str, of_base: str, of_head: str, asked: bool) -> None:
        if of_base != of_head:
            found.append(Difference(what=what, base=of_base, head=of_head, asked=asked))

    named_apart = base.spec != head.spec
    note("version", base.version, head.version, named_apart)
    note("implementation", base.implementation, head.implementation, named_apart)
    sources_asked = flags_asked = compiler_asked = False
    if base.build is not None and head.build is not None:
        sources_asked = base.build.source_hash != head.build.source_hash and named_apart
        flags_asked = base.build.flags != head.build.flags and named_apart
        compiler_asked = _chosen_compiler(base.build) != _chosen_compiler(head.build)
        if base.build.source_hash != head.build.source_hash:
            note("source", _source(base.build, head.build), _source(head.build, base.build), sources_asked)
        if base.build.edits_hash != head.build.edits_hash:
            note("edits", _edits(base.build, head.build), _edits(head.build, base.build), named_apart)
        note("flags", " ".join(base.build.flags), " ".join(head.build.flags), flags_asked)
        note("compiler", base.build.compiler, head.build.compiler, compiler_asked)
        for name in sorted(base.build.toolchain.keys() & head.build.toolchain.keys() - {"compiler", "macros"}):
            note(name, base.build.toolchain[name], head.build.toolchain[name], compiler_asked)
        # What configure found follows from source and flags, and from an edit to configure; else from the machine.
        _note_outcome(base.build, head.build, note, flags_asked or sources_asked)
        note("layout", _layout(base.build), _layout(head.build), True)
    elif base.build is not None or head.build is not None:
        note("made by", _maker(base), _maker(head), True)
    for name in sorted(base.facts.keys() | head.facts.keys()):
        if name == "compiler":
            if not any(difference.what == "compiler" for difference in found):
                note("compiler", base.facts.get(name, ""), head.facts.get(name, ""), compiler_asked)
            continue
        # Flags change sysconfig's variables, and each version of CPython has defaults of its own. What a wrapper adds
        # is its point, and has a notice of its own.
        asked = flags_asked or sources_asked or name.startswith("wrapper's")
        note(name, base.facts.get(name, ""), head.facts.get(name, ""), asked)
    ours = {one.installed.project for one in (base, head) if one.installed is not None}
    if base.installed is not None and head.installed is not None:
        note("commit", _commit(base.installed), _commit(head.installed), True)
    # Nobody names packages: that two environments differ in them is worth a word, whatever was asked for.
    if base.packages is not None and head.packages is not None:
        mine, its = packages.without(base.packages, ours), packages.without(head.packages, ours)
        note("packages", *packages.differences(mine, its), asked=False)
    # Nor modules, unless a flag is what leaves one out.
    if base.modules is not None and head.modules is not None:
        alike = base.implementation == head.implementation and _series(base) == _series(head)
        note("modules", *modules.differences(base.modules, head.modules, alike=alike), asked=flags_asked)
    return found


def _note_outcome(base: Build, head: Build, note: Callable[[str, str, str, bool], None], asked: bool) -> None:
    if base.pyconfig and head.pyconfig and base.pyconfig != head.pyconfig:
        configured = any(map(compiling.is_configuration, (*base.changed_files, *head.changed_files)))
        both = outcome.differences(outcome.defines(base.tree), outcome.defines(head.tree))
        if not any(both):  # the trees are gone
            both = base.pyconfig, head.pyconfig
        note("pyconfig.h", *both, asked or configured)
    if base.toolchain and head.toolchain:
        # Of modules that both have: `modules` tells of the others.
        common = sorted(base.libraries.keys() & head.libraries.keys())
        apart = [name for name in common if base.libraries[name] != head.libraries[name]]
        mine, its = (", ".join(f"{name} {build.libraries[name]}" for name in apart) for build in (base, head))
        note("libraries linked", mine, its, asked)


def _series(interpreter: Interpreter) -> list[str]:
    return interpreter.version.split(".")[:2]


def _commit(installed: Installed) -> str:
    return f"{installed.commit[:8]} ({installed.name})"


def _chosen_compiler(build: Build) -> str:
    return next((flag for flag in reversed(build.flags) if flag.startswith("CC=")), "")


def _source(build: Build, other: Build) -> str:
    # Two trees of one path at different times: only the hash tells them apart.
    return build.source if build.source != other.source else f"{build.source} [{build.source_hash[-12:]}]"


def _layout(build: Build) -> str:
    return "make's own" if build.layout is None else str(build.layout)


def _edits(build: Build, other: Build) -> str:
    text = " + ".join(build.edits) or "none"
    return text if build.edits != other.edits else f"{text} [{build.edits_hash[:12]}]"


def _maker(interpreter: Interpreter) -> str:
    return "Lockstep" if interpreter.build is not None else "ready-made"
