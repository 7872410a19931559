"""Files of CPython's source that are generated from others and kept beside them: made anew where an edit changes what
they are made from.

make does not make them by itself. A patch that changes `Python/bytecodes.c` alone would be compiled from the old cases,
and measured as no change. An edit that has one of the generated files too is taken as it is, as a commit has both.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runner.builds import compiling
from runner.builds.applying import Content
from runner.builds.cache import Progress
from runner.errors import BuildError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is generated from what; as of CPython 3.8 to 3.15."""

    targets: tuple[str, ...]
    """Of make; those that a version has are made."""
    sources: re.Pattern[str]
    """Paths of files that they read."""
    products: tuple[str, ...]
    """The generated files; a version that has none of them does not know the rule."""
    since: str = ""
    """A target that a version must have for the rule to be its own."""
    here: bool = True
    """Whether the targets work with nothing but Python, and before anything is built."""


RULES = (
    Rule(
        targets=("regen-cases",),
        sources=re.compile(
            r"Python/(?:optimizer_|tier2_redundancy_eliminator_)?bytecodes\.c|Tools/cases_generator/.*\.py"
        ),
        products=(
            "Python/generated_cases.c.h", "Python/executor_cases.c.h", "Python/optimizer_cases.c.h",
            "Python/opcode_targets.h", "Include/opcode_ids.h", "Include/internal/pycore_uop_ids.h",
            "Include/internal/pycore_uop_metadata.h", "Include/internal/pycore_opcode_metadata.h",
            "Lib/_opcode_metadata.py", "Python/opcode_metadata.h",
        ),
    ),
    Rule(
        targets=("regen-opcode", "regen-opcode-targets"), sources=re.compile(r"Lib/opcode\.py"), since="regen-opcode",
        products=("Include/internal/pycore_opcode.h", "Include/opcode.h", "Python/opcode_targets.h"),
    ),
    Rule(
        targets=("regen-token", "regen-pegen", "regen-keyword"),
        sources=re.compile(
            r"Grammar/(?:python\.gram|Tokens)|Tools/peg_generator/pegen/.*\.py|Tools/\w+/generate_token\.py"
        ),
        products=(
            "Parser/parser.c", "Parser/pegen/parse.c", "Parser/token.c", "Lib/token.py", "Lib/keyword.py",
            "Include/internal/pycore_token.h",
        ),
    ),
    Rule(
        targets=("regen-pegen-metaparser",), sources=re.compile(r"Tools/peg_generator/pegen/metagrammar\.gram"),
        products=("Tools/peg_generator/pegen/grammar_parser.py",),
    ),
    Rule(
        targets=("regen-ast",), sources=re.compile(r"Parser/(?:Python\.asdl|asdl\.py|asdl_c\.py)"),
        products=(
            "Python/Python-ast.c", "Include/internal/pycore_ast.h", "Include/internal/pycore_ast_state.h",
            "Include/Python-ast.h",
        ),
    ),
    Rule(
        targets=("regen-sre",),
        sources=re.compile(r"Lib/(?:re/_constants|sre_constants)\.py|Tools/\w+/generate_sre_.*\.py"),
        products=("Modules/_sre/sre_constants.h", "Modules/_sre/sre_targets.h", "Modules/sre_constants.h"),
    ),
    Rule(
        targets=("regen-typeslots",), sources=re.compile(r"Include/typeslots\.h|Objects/typeslots\.py"),
        products=("Objects/typeslots.inc",),
    ),
    Rule(
        targets=("Modules/_blake2/blake2s_impl.c",),
        sources=re.compile(r"Modules/_blake2/(?:blake2b_impl\.c|blake2b2s\.py)"),
        products=("Modules/_blake2/blake2s_impl.c",),
    ),
    Rule(
        targets=("regen-global-objects",), sources=re.compile(r"Tools/\w+/generate_global_objects\.py"),
        products=("Include/internal/pycore_global_strings.h", "Include/internal/pycore_runtime_init_generated.h"),
    ),
    Rule(
        targets=("regen-configure",), sources=re.compile(r"configure\.ac|aclocal\.m4|m4/.*"),
        products=("configure",), here=False,
    ),
    Rule(
        targets=("regen-unicodedata",), sources=re.compile(r"Tools/unicode/makeunicodedata\.py"),
        products=("Modules/unicodedata_db.h", "Modules/unicodename_db.h", "Objects/unicodetype_db.h"), here=False,
    ),
    Rule(
        targets=("regen-frozen",), sources=re.compile(r"Tools/\w+/freeze_modules\.py"),
        products=("Python/frozen.c", "Makefile.pre.in"), here=False,
    ),
    Rule(
        targets=("regen-importlib",), sources=re.compile(r"Lib/(?:importlib/_bootstrap(?:_external)?|zipimport)\.py"),
        products=("Python/importlib.h", "Python/importlib_external.h", "Python/importlib_zipimport.h"), here=False,
    ),
)
CLINIC = ("clinic", "regen-global-objects")
"""What Argument Clinic makes, and the names that it may need."""
_BLOCK = re.compile(rb"/\*\[clinic input\](.*?)\[clinic start generated code\]\*/", re.DOTALL)


def targets(tree: Path, before: Mapping[str, Content], label: str) -> tuple[str, ...]:
    """What make has to be asked for in an edited source, before it is built; mostly nothing.

    `before` has what the files were that were edited. Raises UsageError, with the command, where that is not possible
    here.
    """
    found: dict[str, None] = {}
    known = _known(tree)
    for rule in RULES:
        changed = [file for file in before if rule.sources.fullmatch(file)]
        there = [file for file in rule.products if (tree / file).is_file()]
        if changed and there and rule.since in {"", *known} and not before.keys() & set(rule.products):
            wanted = [target for target in rule.targets if target in known]
            if not rule.here or not wanted:
                raise _refused(label, changed, there, rule.targets)
            found.update(dict.fromkeys(wanted))
    changed = [file for file in before if _has_new_input(tree, file, before)]
    if changed:
        if "clinic" not in known:
            raise _refused(label, changed, [_product(file) for file in changed], ("clinic",))
        found.update(dict.fromkeys(target for target in CLINIC if target in known))
    return tuple(found)


def make(targets: Sequence[str], tree: Path, label: str, log: Path, progress: Progress) -> tuple[str, ...]:
    """Make targets in a tree that is configured; returns the files that are others now.

    Raises UsageError, with the command, where make fails.
    """
    if not targets:
        return ()
    before = _stamps(tree)
    progress(f"making what is generated for {label}")
    python = shlex.quote(sys.executable)  # any Python of the last years does, and ours is there
    try:
        compiling.run_make(tree, [f"PYTHON_FOR_REGEN={python}", *targets], f"generating files of {label}", log)
    except BuildError as error:
        said = log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise UsageError(f"{error}. {_advice(targets)}. It said:\n{said}") from error
    return tuple(sorted(file for file, stamp in _stamps(tree).items() if before.get(file) != stamp))


def _known(tree: Path) -> set[str]:
    """The targets that the source's makefile has."""
    try:
        text = (tree / "Makefile.pre.in").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return set(re.findall(r"^(?:\$\(srcdir\)/)?([\w./-]+):", text, re.MULTILINE))


def _refused(label: str, changed: Sequence[str], products: Sequence[str], targets: Sequence[str]) -> UsageError:
    return UsageError(f"{label} changes {', '.join(changed)}, from which {', '.join(products)} "
                      f"{'is' if len(products) == 1 else 'are'} generated, and does not change "
                      f"{'it' if len(products) == 1 else 'them'}. {_advice(targets)}")


def _advice(targets: Sequence[str]) -> str:
    return f"Run `make {' '.join(targets)}` in your own tree, and put what it changes into the patch"


def _has_new_input(tree: Path, file: str, before: Mapping[str, Content]) -> bool:
    """Whether blocks of input for Argument Clinic have changed, and not what is made from them."""
    if not file.endswith((".c", ".h", ".inc")) or _product(file) in before or not (tree / file).is_file():
        return False
    old = before[file]
    blocks = _BLOCK.findall((tree / file).read_bytes())
    return blocks != (_BLOCK.findall(old[1]) if old is not None else [])


def _product(file: str) -> str:
    path = PurePosixPath(file)
    return str(path.with_name("clinic") / f"{path.name}.h")


def _stamps(tree: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file that may be generated."""
    found = {}
    for path in tree.rglob("*"):
        if path.suffix in (".c", ".h", ".inc", ".py") and path.is_file() and path.relative_to(tree).parts[0] != "build":
            state = path.stat()
            found[str(path.relative_to(tree))] = (state.st_size, state.st_mtime_ns)
    return found
