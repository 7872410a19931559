"""data/sources.toml: the releases that can be named by version, and how their tarballs are had.

Format, version 1: ``url`` with {folder} and {file}; ``[[release]]`` with ``version``, ``files`` (name and
sha256, the first identifies the source) and, optional, ``debian`` (suite, source, file).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner.builds import apt, cache, download
from runner.builds.cache import Progress
from runner.errors import BuildError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release with the sums of its files."""

    version: str
    files: Mapping[str, str]
    """File name to sha256; the first one's sum identifies the source."""
    debian: apt.Package | None = None

    @property
    def sha256(self) -> str:
        return next(iter(self.files.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """All that sources.toml says."""

    path: Path
    url: str
    releases: Mapping[str, Release]

    def find(self, version: str) -> Release:
        """The release of that version. Raises UsageError where it is not listed."""
        if version not in self.releases:
            raise UsageError(
                f"CPython {version} is not in {self.path}, which has {', '.join(self.releases)}. Add it there with"
                f" its sha256 (docs/builds.md shows how), or use git:DIR_OR_URL@v{version} or tar:FILE"
            )
        return self.releases[version]


def read(path: Path) -> Catalogue:
    """Read sources.toml. Raises UsageError for a file that is not one."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        releases = [
            Release(
                version=entry["version"],
                files={file["name"]: file["sha256"] for file in entry["files"]},
                debian=apt.Package(**entry["debian"]) if "debian" in entry else None,
            )
            for entry in data["release"]
        ]
        url = data["url"]
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path}: an entry lacks a field or has a wrong one: {error}") from error
    for release in releases:
        if not release.files or any(not re.fullmatch(r"[0-9a-f]{64}", sum) for sum in release.files.values()):
            raise UsageError(f"{path}: release {release.version} needs files, each with a sha256 of 64 digits")
    return Catalogue(path=path, url=url, releases={release.version: release for release in releases})


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def obtain(release: Release, catalogue: Catalogue, progress: Progress) -> Path:
    """The release's tarball, verified: from the download cache, the release's own site, or apt-get source.

    Raises BuildError that lists every attempt with its reason where all fail.
    """
    folder = cache.folder("downloads")
    waiting = f"waiting for another run that is downloading CPython {release.version}"
    with cache.locked(f"download-{release.version}", progress, waiting):
        failed: list[str] = []
        for file in (place / name for place in cache.kept("downloads") for name in release.files):
            if file.is_file() and _is_right(file, release, failed, progress):
                with contextlib.suppress(OSError):  # somebody else's
                    os.utime(file)
                return file
        if not failed:
            failed.append(f"{folder}: there is none yet")
        for name in release.files:
            found = _download(release, catalogue, folder / name, failed, progress)
            if found or (found := _from_debian(release, folder / name, failed, progress)):
                return found
    listed = "\n".join(f"  - {line}" for line in failed)
    raise BuildError(
        f"cannot get the source of CPython {release.version}. Tried:\n{listed}\n"
        f"Put {next(iter(release.files))} into {folder}, or name a copy of it: tar:FILE"
    )


def _download(
    release: Release, catalogue: Catalogue, target: Path, failed: list[str], progress: Progress
) -> Path | None:
    # The files of 3.14.0a1 are in the folder 3.14.0.
    series = re.sub(r"(a|b|rc)\d+$", "", release.version)
    url = catalogue.url.format(folder=series, file=target.name)
    progress(f"downloading {url}")
    try:
        download.fetch(url, target)
    except download.DownloadError as error:
        failed.append(f"{url}: {error}")
        progress(f"{url}: {error}")
        return None
    return target if _is_right(target, release, failed, progress) else None


def _from_debian(release: Release, target: Path, failed: list[str], progress: Progress) -> Path | None:
    if release.debian is None:
        return None
    what = f"apt-get source {release.debian.source} (Debian {release.debian.suite})"
    reason = apt.unavailable()
    if reason is None:
        try:
            file = apt.fetch(release.debian, cache.folder("apt"), progress)
        except apt.AptError as error:
            reason = str(error)
    if reason is not None:
        failed.append(f"{what}: {reason}")
        progress(f"{what}: {reason}")
        return None
    # Named after the release's file with the same bytes, whatever Debian calls it.
    total = sha256_of(file)
    name = next((name for name, expected in release.files.items() if expected == total), target.name)
    shutil.move(file, target.with_name(name))
    return target.with_name(name) if _is_right(target.with_name(name), release, failed, progress) else None


def _is_right(file: Path, release: Release, failed: list[str], progress: Progress) -> bool:
    progress(f"checking the sha256 of {file.name}")
    total = sha256_of(file)
    if total == release.files[file.name]:
        return True
    aside = file.with_name(file.name + ".wrong")
    try:
        file.replace(aside)
        where = f"the file was moved aside to {aside}"
    except OSError as error:
        where = f"{file} could not be moved aside ({error.strerror})"
    line = f"{file.name}: its sha256 is {total}, and must be {release.files[file.name]}; {where}"
    failed.append(line)
    progress(line)
    return False
