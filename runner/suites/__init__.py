"""Where benchmarks come from: what a suite is (`protocol`), and for each kind a module that finds its benchmarks.

A kind is two files: one such module, named in `open`, and one that loads a benchmark inside a worker.
"""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from runner import paths
from runner.errors import UsageError
from runner.suites import pyperf_scripts
from runner.suites.asv import AsvSuite
from runner.suites.protocol import Found, Loader, Selection, Suite, described, discover, select

__all__ = ["Found", "Loader", "Selection", "Suite", "beside", "described", "discover", "joined", "open", "select"]


def open(named: str | None, options: Sequence[str] = ()) -> Suite:
    """The suite of a name, a folder or a script; None: the project's own.

    `options` are for pyperf scripts; they may also follow the name, as on a command line. Raises UsageError where
    there is no such suite, or options are given to one that takes none.
    """
    words = _words(named)
    if words and pyperf_scripts.names_one(words[0]):
        from runner.suites.pyperf import PyperfSuite  # pyperf takes longer to import than a short command needs

        return PyperfSuite(words[0], (*words[1:], *options))
    if options:
        raise UsageError(f"{shlex.join(options)}: what follows -- are options of a pyperf script, and "
                         f"{named or 'the suite'} is none.")
    return AsvSuite(named)


def joined(named: str | None, options: Sequence[str]) -> str | None:
    """A suite with options for its scripts, as one text that `open` takes. Raises as that does."""
    if not options:
        return named
    open(named, options)
    return shlex.join([*_words(named), *options])


def beside(folder: Path, named: str) -> str:
    """What a file in `folder` calls a suite, as one text that `open` takes anywhere: with the path from the root on."""
    whole = folder / paths.expanded(named)
    if os.path.exists(whole):  # several names may be longer than one may be
        return str(whole)
    try:
        word, *options = shlex.split(named)
    except ValueError:  # blank, or quotation marks that do not end
        return named
    for path in (word, word.rpartition(":")[0]):
        file = str(folder / paths.expanded(path))
        if path and pyperf_scripts.is_file(file):
            return shlex.join([file + word[len(path):], *options])
    return named


def _words(named: str | None) -> list[str]:
    """A name, and the options that follow it where it is a script's."""
    if named is None or pyperf_scripts.names_one(named):
        return [] if named is None else [named]
    try:
        words = shlex.split(named)
    except ValueError:  # quotation marks that do not end
        return [named]
    return words if words and pyperf_scripts.names_one(words[0]) else [named]
