"""Third-party files that pages load from elsewhere: taken from pinned npm packages and put beside the pages.

Format of data/vendor.toml, version 1: ``[[package]]`` with ``name``, ``version``, ``integrity`` (npm's, of the tarball)
and ``files``, which maps the last part of an address in the pages to a path in the package.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tarfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import config, shell
from runner.errors import BuildError, UsageError
from runner.owned import owned

FOLDER = "vendor"
"""Beside the pages."""
TIME_LIMIT = 120.0
"""Seconds for npm to get one package."""
_ELSEWHERE = re.compile(r"""<(?:script|link)\b[^>]*?\b(?:src|href)\s*=\s*["'](?P<address>https?://[^"']+)["'][^>]*>""")
_FOREIGN = re.compile(r"""\s(?:integrity|crossorigin|referrerpolicy)\s*=\s*(?:"[^"]*"|'[^']*')""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One package with the files that are wanted of it."""

    name: str
    version: str
    integrity: str
    files: Mapping[str, str]


def read(path: Path) -> Sequence[Package]:
    """Read vendor.toml. Raises UsageError for a file that is not one."""
    try:
        return [Package(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["package"]]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise UsageError(f"{path} does not list packages: {error}") from error


def provide(pages: Path, packages: Sequence[Package]) -> Sequence[str]:
    """Put what the pages of a folder load from elsewhere beside them, and lead them there; returns the files' names.

    All or nothing: raises BuildError, and leaves the pages as they are, where a package cannot be had, is not what it
    was, or the pages load something that no package has.
    """
    wanted = {name: (package, path) for package in packages for name, path in package.files.items()}
    texts = {page: page.read_text(encoding="utf-8") for page in sorted(pages.glob("*.html"))}
    needed = {match["address"] for text in texts.values() for match in _ELSEWHERE.finditer(text)}
    unknown = sorted(address for address in needed if _name(address) not in wanted)
    if unknown:
        raise BuildError(f"no package is known to have {', '.join(map(_name, unknown))}, which asv's pages load")
    names = sorted({_name(address) for address in needed})
    contents = {name: _file(*wanted[name]) for name in names}
    (pages / FOLDER).mkdir(exist_ok=True)
    for name, content in contents.items():
        (pages / FOLDER / name).write_bytes(content)
    for page, text in texts.items():
        page.write_text(_ELSEWHERE.sub(_here, text), encoding="utf-8")
    return names


def put(folder: Path, packages: Sequence[Package], names: Sequence[str]) -> None:
    """Put files into a folder under these names. All or nothing: raises BuildError as `provide` does."""
    wanted = {name: (package, path) for package in packages for name, path in package.files.items()}
    unknown = [name for name in names if name not in wanted]
    if unknown:
        raise BuildError(f"no package is known to have {', '.join(unknown)}")
    contents = {name: _file(*wanted[name]) for name in names}
    for name, content in contents.items():
        (folder / name).write_bytes(content)


def _here(match: re.Match[str]) -> str:
    # Its integrity was that of another copy: npm's packages have some of them before they were made smaller.
    tag = match[0].replace(match["address"], f"{FOLDER}/{_name(match['address'])}")
    return _FOREIGN.sub("", tag)


def _name(address: str) -> str:
    return address.rpartition("/")[2]


def _file(package: Package, path: str) -> bytes:
    try:
        with tarfile.open(_tarball(package)) as archive:
            found = archive.extractfile(f"package/{path}")
            if found is not None:
                return found.read()
    except (tarfile.TarError, KeyError, OSError) as error:
        raise BuildError(f"{package.name} {package.version} has no {path}: {error}") from error
    raise BuildError(f"{package.name} {package.version} has no file {path}")


def _tarball(package: Package) -> Path:
    """The package as npm distributes it: from the cache, or by npm."""
    folder = config.caches()[-1] / "vendor"
    name = f"{package.name}-{package.version}.tgz"
    for kept in (place / "vendor" / name for place in config.caches()):
        if kept.is_file() and _is_whole(kept, package):
            return kept
    kept = folder / name
    if shutil.which("npm") is None:
        raise BuildError(f"{package.name} {package.version} is not in {folder}, and npm, which gets it, is missing")
    with owned("lockstep-npm-") as scratch:
        ended = shell.run(
            ["npm", "pack", f"{package.name}@{package.version}", "--silent", "--ignore-scripts", "--fetch-retries=1",
             "--pack-destination", scratch], cwd=scratch, timeout=TIME_LIMIT,
        )
        made = list(scratch.glob("*.tgz"))
        if ended.code or len(made) != 1:
            why = "it took too long" if ended.timed_out else " ".join(ended.output.split())[:400]
            raise BuildError(f"npm cannot get {package.name} {package.version}: {why}")
        if not _is_whole(made[0], package):
            raise BuildError(f"{package.name} {package.version} from npm is not what it was: its integrity differs")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            beside = kept.with_name(f".{kept.name}")
            shutil.copyfile(made[0], beside)
            beside.replace(kept)
        except OSError as error:
            raise BuildError(f"cannot keep {name} in {folder}: {error.strerror or error}") from error
    return kept


def _is_whole(file: Path, package: Package) -> bool:
    algorithm, _, expected = package.integrity.partition("-")
    try:
        with file.open("rb") as stream:
            found = base64.b64encode(hashlib.file_digest(stream, algorithm).digest()).decode()
    except (OSError, ValueError):
        return False
    return found == expected
