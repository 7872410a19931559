"""What is compared, over which scripts. No measuring here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RELEASE = "cpython@3.13.5"
WORK = f"{RELEASE}+dict-lookup-work"
EQUAL = f"{RELEASE}+bystander"
"""With one more function, which nothing calls: it does the same, in another executable."""
FUNCTION = "_Py_dict_lookup"
"""What the variant of `WORK` makes slower."""
VERSIONS = ("python3.12", "python3.13")

BESIDE = (
    "argparse", "comprehensions", "hexiom", "json_dumps", "json_loads", "pickle_pure_python", "regex_compile",
    "typing_runtime_protocols", "unpickle", "unpickle_pure_python",
)
"""Scripts that are measured under pyperf itself too: each is one benchmark, of at most some tenths of a second a call,
and uses dicts."""
DICTS = (
    *BESIDE, "argparse_subparsers", "async_tree_memoization", "deepcopy", "logging", "mdp", "pprint",
)
"""Scripts that use dicts, by what they do: chosen before anything was measured."""
PAIRS = {"equal": (RELEASE, RELEASE), "work": (RELEASE, WORK)}
"""What is measured under pyperf too: one build as both arms, and the variant against the source as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One comparison: two interpreters over a suite."""

    name: str
    title: str
    """For the page."""
    base: str
    head: str
    suite: str

    @property
    def arms(self) -> tuple[str, str]:
        """What is said of the arms: of a path, the file's name alone."""
        return _said(self.base), _said(self.head)


def parts(versions: Sequence[str] = VERSIONS, only: Sequence[str] = ()) -> tuple[Part, ...]:
    """The comparisons in their order; `only`: names of the scripts that are taken, none for all.

    The last is left out where none of its scripts is among them.
    """
    whole, using = suite(only), chosen(DICTS, only)
    # Two layouts of one build would not do: scope `source` links both arms anew, and they would be one file.
    found = [
        Part(name="equal-1", title="two builds that do the same", base=RELEASE, head=EQUAL, suite=whole),
        Part(name="equal-2", title="the same again", base=RELEASE, head=EQUAL, suite=whole),
        Part(name="nocow", title="without and with copy-on-write in `io.BytesIO`", base=f"{RELEASE}+nocow",
             head=RELEASE, suite=whole),
        Part(name="versions", title="two versions, each as it was installed", base=versions[0], head=versions[1],
             suite=whole),
    ]
    if using:
        found.append(Part(name="dict", title="work in each dict lookup", base=RELEASE, head=WORK, suite=suite(using)))
    return tuple(found)


def chosen(scripts: Sequence[str], only: Sequence[str]) -> tuple[str, ...]:
    """Those of the scripts that are taken."""
    return tuple(name for name in scripts if not only or name in only)


def suite(names: Sequence[str]) -> str:
    """The suite of these scripts; of none named, pyperformance's that need no third-party package."""
    return f"pyperformance:{','.join(names)}" if names else "pyperformance"


def _said(spec: str) -> str:
    return Path(spec).name if "/" in spec and "@" not in spec else spec
