"""Source trees: a release, a tarball, a commit, or a folder. Each is identified by its content."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from runner import paths
from runner.builds import commits, git, releases
from runner.builds.cache import Progress
from runner.builds.spec import BuildSpec, Origin
from runner.errors import BuildError, UsageError


class Source(Protocol):
    """Where a build starts. What it unpacks may be a used tree: see `obtain`."""

    @property
    def label(self) -> str: ...  # for people
    @property
    def hash(self) -> str: ...  # of the content
    def unpack(self, tree: Path, progress: Progress) -> None: ...  # into a folder that does not exist yet


def find(spec: BuildSpec, catalogue: Path, progress: Progress) -> Source:
    """The source that a spec names, without fetching a release that may not be needed.

    Raises UsageError where it does not exist, BuildError where a commit cannot be fetched.
    """
    if spec.origin is Origin.RELEASE:
        known = releases.read(catalogue)
        return ReleaseSource(release=known.find(spec.place), catalogue=known)
    if spec.origin is Origin.GIT:
        return _git(spec, progress)
    path = paths.expanded(spec.place).resolve()
    if not os.path.exists(path):
        raise UsageError(f"{spec.text}: {path} {paths.why_not(path)}")
    try:
        return _of_path(spec, path)
    except OSError as error:
        raise UsageError(f"{spec.text}: {error.filename or path} cannot be read: {error.strerror}") from error


def _of_path(spec: BuildSpec, path: Path) -> Source:
    if spec.origin is Origin.TARBALL:
        if not path.is_file():
            raise UsageError(f"{spec.text}: {path} is not a file; a source tree is named by dir:{spec.place}")
        return Tarball(path=path, hash=releases.sha256_of(path))
    if not (path / "configure").is_file():
        raise UsageError(f"{spec.text}: {path} has no configure script, so it is not a CPython source tree")
    files = tracked(path)
    check_links(path, files, spec.text)
    return Directory(path=path, files=files, hash=content_hash(path, files))


def obtain(source: Source, tree: Path, progress: Progress) -> None:
    """Put a source into `tree`, a folder that does not exist yet, without products of a build. Raises as `unpack`."""
    source.unpack(tree, progress)
    # A tarball of a used tree, or products that somebody committed: never mix them with ours.
    if (tree / "Makefile").is_file() or (tree / "pyconfig.h").is_file():
        for file in [path for path in tree.rglob("*") if path.is_file() or path.is_symlink()]:
            if is_product(str(file.relative_to(tree))):
                file.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseSource:
    """A release listed in sources.toml."""

    release: releases.Release
    catalogue: releases.Catalogue

    @property
    def label(self) -> str:
        return f"CPython {self.release.version}"

    @property
    def hash(self) -> str:
        return f"sha256:{self.release.sha256}"

    def unpack(self, tree: Path, progress: Progress) -> None:
        file = releases.obtain(self.release, self.catalogue, progress)
        progress(f"unpacking {file.name}")
        unpack(file, tree)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tarball:
    """A tarball of the user's."""

    path: Path
    hash: str

    @property
    def label(self) -> str:
        return str(self.path)

    def unpack(self, tree: Path, progress: Progress) -> None:
        progress(f"unpacking {self.path.name}")
        unpack(self.path, tree)
        if releases.sha256_of(self.path) != self.hash:
            raise UsageError(_edited(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit in a repository on this machine."""

    repository: Path
    ref: str
    commit: str
    tree: str
    """git's hash of its content."""
    branch: str = ""
    """The branch that was named; empty where the commit was named otherwise."""

    @property
    def hash(self) -> str:
        """Of its tree, so that commits with one content are one source."""
        return f"git:{self.tree}"

    @property
    def label(self) -> str:
        return f"git {self.ref} ({self.commit[:12]})"

    def unpack(self, tree: Path, progress: Progress) -> None:
        progress(f"taking {self.label} from {self.repository}")
        packed = tree.with_name("source.tar")
        # The tree and not the commit, whose hash and date would get into files that ask for them (export-subst).
        result = git.run(self.repository, "archive", "--format=tar", "-o", str(packed), self.tree)
        if result.code:
            raise BuildError(f"git archive of {self.label} failed: {git.reason(self.repository, result)}")
        unpack(packed, tree)
        packed.unlink()


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A source tree of the user's, which is only read."""

    path: Path
    files: tuple[str, ...]
    hash: str

    @property
    def label(self) -> str:
        return str(self.path)

    def unpack(self, tree: Path, progress: Progress) -> None:
        progress(f"copying {len(self.files)} files from {self.path}")
        for file in self.files:
            target = tree / file
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(self.path / file, target, follow_symlinks=False)
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                raise UsageError(_edited(self.path)) from None
        # It was named by its content when the run began; the other build may have taken an hour since.
        if content_hash(tree, self.files) != self.hash:
            raise UsageError(_edited(self.path))


def _edited(path: Path) -> str:
    return f"{path} was edited since this began, and a build of it would not be what it is called. Start again."


_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EMFILE, errno.EFBIG)


_NONSENSE = (ValueError, ArithmeticError, LookupError)
"""What tarfile's own reading of damaged headers raises: a time out of range, a link to nothing."""


def unpack(packed: Path, tree: Path) -> None:
    """Unpack a tarball so that `tree` is the folder with configure in it: the top, or the one folder in it.

    Raises UsageError for a file that is no tarball, is damaged, leads out of its tree, or has no configure.
    """
    inside = tree.with_name("unpacked")
    try:
        with tarfile.open(packed) as archive:
            # Python 3.11.0 to 3.11.3 have no filters; there the attribute means nothing.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(inside)
            _check_end(archive)
    except (tarfile.TarError, EOFError, *_NONSENSE, OSError, _LzmaError, _ZlibError) as error:
        # Damaged data give OSErrors too: a failed checksum, or a file name that no file can have.
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        why = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        if isinstance(error, getattr(tarfile, "FilterError", ())):
            raise UsageError(f"{packed} is not unpacked: something in it leads out of its tree ({why})") from error
        raise UsageError(f"{packed} cannot be unpacked ({why}): it is damaged or no tarball; get it again") from error
    tops = list(inside.iterdir()) if inside.is_dir() else []
    top = tops[0] if len(tops) == 1 and tops[0].is_dir() else inside
    if not (top / "configure").is_file():
        raise UsageError(f"{packed} has no configure script, so it is not a CPython source")
    top.rename(tree)
    shutil.rmtree(inside, ignore_errors=True)


def _check_end(archive: tarfile.TarFile) -> None:
    # tarfile takes a damaged header for the end of the archive, and then nobody reads the checksum behind it.
    stream = archive.fileobj
    assert stream is not None
    stream.seek(archive.offset)
    while piece := stream.read(1 << 20):
        if piece.strip(b"\0"):
            raise tarfile.ReadError("something that is no header where a file should start")


try:
    from lzma import LZMAError as _LzmaError
except ImportError:  # an interpreter without liblzma
    _LzmaError = EOFError  # type: ignore[assignment, misc]
try:
    from zlib import error as _ZlibError
except ImportError:
    _ZlibError = EOFError  # type: ignore[assignment, misc]


# What a build leaves in its tree, for trees that are no git checkout.
_PRODUCT = re.compile(
    r"(?:^|/)(?:\.git|\.hg|__pycache__|autom4te\.cache)/|^build/"
    r"|\.(?:o|a|so|dylib|py[co]|gcda|gcno|profclang\w|lto)$"
    r"|^(?:python(?:\.exe)?|python-config(?:\.py)?|python-gdb\.py|_bootstrap_python|platform|pybuilddir\.txt"
    r"|config\.(?:log|status|cache)|pyconfig\.h|Makefile(?:\.pre)?|profile-\w+-stamp)$"
    r"|^Programs/(?:_freeze_module|_testembed)$|^Misc/python(?:-embed|-config)?\.(?:pc|sh)$"
    r"|^Modules/(?:config\.c|ld_so_aix|Setup\.(?:local|bootstrap|stdlib|config))$"
    r"|^Python/(?:frozen_modules/.*\.h|deepfreeze/.*\.c)$"
)


def is_product(file: str) -> bool:
    """Whether a path relative to a tree's root is something that building CPython puts there."""
    return _PRODUCT.search(file) is not None


def tracked(path: Path) -> tuple[str, ...]:
    """The source files below a folder, sorted, relative to it.

    In a git checkout, those that git tracks and new ones that it does not ignore, as they are on disk;
    elsewhere all but the products of a build. Symbolic links are files, wherever they lead; sockets and the like are
    none.
    """
    if (path / ".git").exists() and shutil.which("git"):
        result = git.run(path, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
        if result.code:
            raise BuildError(f"git cannot list the files of {path}: {git.reason(path, result)}")
        names = {name for name in result.output.split("\0") if name and _is_entry(path / name, folders=True)}
        folders = {name for name in names if (path / name).is_dir() and not (path / name).is_symlink()}
        inside = {f"{name}/{file}" for name in folders if not name.endswith("/") for file in _submodule(path / name)}
        return tuple(sorted(names - folders | inside))
    found = (
        str(PurePosixPath(folder).relative_to(path) / name)
        for folder, folders, names in os.walk(path) for name in (*folders, *names)
    )
    return tuple(sorted(file for file in found if not is_product(file) and _is_entry(path / file)))


def _is_entry(path: Path, *, folders: bool = False) -> bool:
    return path.is_symlink() or path.is_file() or (folders and path.is_dir())


def check_links(tree: Path, files: Iterable[str], label: str) -> None:
    """See that no file is a symbolic link out of its tree: what it leads to would be built, and be in no hash.

    Raises UsageError.
    """
    top = os.path.realpath(tree)
    for file in files:
        if (tree / file).is_symlink():
            target = str((tree / file).readlink())
            if target.startswith("/") or os.path.commonpath([top, os.path.realpath(tree / file)]) != top:
                raise UsageError(
                    f"{label}: {file} is a symbolic link to {target}, which leads out of the source tree, and is not"
                    " followed; put a copy in its place, or remove it"
                )


def _submodule(path: Path) -> tuple[str, ...]:
    if not (path / ".git").exists():
        raise UsageError(f"the submodule {path} is empty; get it with: git submodule update --init")
    return tracked(path)


def content_hash(path: Path, files: tuple[str, ...]) -> str:
    """Hash of names, contents and execute permissions."""
    total = hashlib.sha256()
    for file in files:
        full = path / file
        if full.is_symlink():
            kind, content = b"l", os.fsencode(full.readlink())
        else:
            kind = b"x" if os.access(full, os.X_OK) else b"f"
            content = full.read_bytes()
        total.update(b"%s %s %d\n" % (kind, os.fsencode(file), len(content)))
        total.update(content)
    return f"tree:{total.hexdigest()}"


def _git(spec: BuildSpec, progress: Progress) -> Commit:
    found = commits.find(spec.text, spec.place, spec.ref, progress)
    return Commit(repository=found.repository, ref=spec.ref, commit=found.commit, tree=found.tree, branch=found.branch)
