"""A git repository of one release with a branch for each variant: for asv, which knows commits and branches alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runner import shell
from runner.builds import edits, git, releases, sources, trees
from runner.builds.cache import Progress
from runner.builds.edits import Edit
from runner.builds.releases import Release
from runner.errors import BuildError, MachineError, UsageError
from runner.owned import owned

AUTHOR = "Lockstep"
MAIL = "lockstep@localhost"


def make(folder: Path, version: str, data: Path, progress: Progress) -> tuple[str, ...]:
    """Make `folder` a repository of CPython `version`, unless it is one; returns its branches.

    The release is one commit, with the tag ``vVERSION`` and the branch ``main``. Each variant of `data` that fits has a
    branch of its name, with what it changes as a second commit; one that changes nothing is a branch on the first.
    Authors and dates are fixed, so that the commits are the same on every machine.

    Raises UsageError where the release is not known or `folder` holds something else, BuildError where the
    source cannot be had or git fails.
    """
    catalogue = releases.read(data / "sources.toml")
    release = catalogue.find(version)
    tag = f"v{version}"
    if os.path.exists(folder):
        found = _git(folder, "rev-parse", "--verify", "--quiet", f"refs/tags/{tag}")
        if found.code:
            why = f": {git.reason(folder, found)}" if found.errors else ""
            raise UsageError(f"{folder} exists and has no {tag}{why}. Remove it, or name another folder.")
        return _branches(folder)
    try:
        _make(folder, release, data, progress)
    except OSError as error:
        raise MachineError(f"cannot make {folder}: {error.filename or folder}: {error.strerror or error}") from error
    return _branches(folder)


def _make(folder: Path, release: Release, data: Path, progress: Progress) -> None:
    catalogue, version, tag = releases.read(data / "sources.toml"), release.version, f"v{release.version}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with owned(f".{folder.name}.new-", folder.parent) as scratch:
        tree = scratch / "tree"
        sources.ReleaseSource(release=release, catalogue=catalogue).unpack(tree, progress)
        # The newest file's time: the release's own, whenever and wherever the repository is made.
        when = int(max(path.lstat().st_mtime for path in tree.rglob("*") if path.is_file()))
        progress(f"committing CPython {version}")
        _do(tree, when, "init", "--quiet", "--initial-branch=main")
        _do(tree, when, "config", "core.autocrlf", "false")
        # A release leaves out some of what the repository's .gitignore lists, and has some of it.
        _commit(tree, when, release, (), f"CPython {version}")
        _do(tree, when, "tag", tag)
        for path in sorted((data / "variants").glob("*.toml")):
            _branch(tree, when + 1, release, path, data, progress)
        _do(tree, when, "checkout", "--quiet", "main")
        tree.rename(folder)


def _branch(tree: Path, when: int, release: Release, variant: Path, data: Path, progress: Progress) -> None:
    name = variant.stem
    applied = edits.load_all([name], data / "variants")
    try:
        changes = edits.apply(applied, tree)
    except UsageError as problem:
        progress(f"variant {name} has no branch: {problem}")
        return
    _do(tree, when, "checkout", "--quiet", "-b", name, "main")  # what has changed in the tree goes along
    if not changes.before:
        return
    progress(f"committing variant {name}")
    _commit(tree, when, release, applied, edits.read_variant(variant, name).title)
    _do(tree, when, "checkout", "--quiet", "main")


def _commit(tree: Path, when: int, release: Release, applied: Sequence[Edit], message: str) -> None:
    _do(tree, when, "add", "--all", "--force")
    _do(tree, when, "commit", "--quiet", "--no-verify", "--no-gpg-sign", "-m", message)
    trees.remember(_git(tree, "rev-parse", "HEAD^{tree}").output.strip(), release, applied)


def _branches(folder: Path) -> tuple[str, ...]:
    return tuple(_git(folder, "for-each-ref", "--format=%(refname:short)", "refs/heads").output.split())


def _do(tree: Path, when: int, *words: str) -> None:
    result = _git(tree, *words, when=when)
    if result.code:
        raise BuildError(f"git {words[0]} failed in {tree}: {git.reason(tree, result)}")


def _git(folder: Path, *words: str, when: int = 0) -> shell.Result:
    date = f"{when} +0000"
    # Nothing of the user's: a template, an excluded file or a signature would make other commits.
    return git.run(folder, *words, env={
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_TEMPLATE_DIR": "",
        "GIT_AUTHOR_NAME": AUTHOR, "GIT_AUTHOR_EMAIL": MAIL, "GIT_AUTHOR_DATE": date,
        "GIT_COMMITTER_NAME": AUTHOR, "GIT_COMMITTER_EMAIL": MAIL, "GIT_COMMITTER_DATE": date,
        "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent),
    })
