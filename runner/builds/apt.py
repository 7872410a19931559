"""The original tarballs that Debian distributes, by `apt-get source`, without touching the system's set-up.

The machine's own sources say from where and with which key; from them a list of our own is made, with
the one suite that has the release. Lists, caches and downloads stay in our folder.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import shell

LISTING_LIMIT = 90.0
"""Seconds for fetching the package list (about 10 MB)."""
DOWNLOAD_LIMIT = 300.0
"""Seconds for the tarball (about 25 MB)."""
_ROLLING = {"stable", "testing", "unstable", "sid", "oldstable"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One entry of apt's sources: where packages come from, and the key they are signed with."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""
    """A key file's path, or the key itself over several lines as it stands in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Where Debian has a release's tarball."""

    suite: str
    source: str
    file: str


def unavailable(root: Path = Path("/")) -> str | None:
    """Why this machine cannot use apt-get source, in words; None: it can be tried."""
    release = os_release(root)
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    if "debian" not in names:
        return "this is not a Debian-like system"
    return None if shutil.which("apt-get") else "there is no apt-get"


def os_release(root: Path = Path("/")) -> dict[str, str]:
    """What /etc/os-release says; empty where there is none."""
    try:
        text = (root / "etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def repositories(root: Path = Path("/")) -> list[Repository]:
    """All that the machine's apt sources name, in both formats, disabled entries left out."""
    folder = root / "etc/apt"
    files = [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
    found: list[Repository] = []
    for file in files:
        if not file.is_file() or file.suffix not in (".list", ".sources"):
            continue
        text = file.read_text(encoding="utf-8", errors="replace")
        found += parse_deb822(text) if file.suffix == ".sources" else parse_lines(text)
    return found


def parse_deb822(text: str) -> list[Repository]:
    """The stanzas of a .sources file."""
    found = []
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", kept):
        fields = {
            match[1].lower(): match[2].rstrip()
            for match in re.finditer(r"^([A-Za-z][\w-]*):[ \t]*(.*(?:\n[ \t].*)*)", stanza, re.MULTILINE)
        }
        if not fields.get("uris") or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        found.append(Repository(
            uris=tuple(fields["uris"].split()), suites=tuple(fields.get("suites", "").split()),
            components=tuple(fields.get("components", "").split()), signed_by=fields.get("signed-by", ""),
        ))
    return found


def parse_lines(text: str) -> list[Repository]:
    """The lines of a .list file: ``deb [signed-by=KEY] URI SUITE COMPONENT…``."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb(?:-src)?\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line)
        if match is None:
            continue
        options = dict(word.split("=", 1) for word in (match[1] or "").split() if "=" in word)
        found.append(Repository(
            uris=(match[2],), suites=(match[3],), components=tuple(match[4].split()),
            signed_by=options.get("signed-by", "").replace(",", " "),
        ))
    return found


def source_list(known: Sequence[Repository], codename: str, suite: str) -> str:
    """A .sources file with `suite` from wherever the machine gets its own release, `codename`; maybe empty.

    Repositories of third parties, and those for updates and security, have no such suite and are left out.
    """
    stanzas: dict[tuple[str, str], str] = {}
    for repository in known:
        own = {codename, suite, *_ROLLING} & set(repository.suites)
        if not own or "main" not in repository.components:
            continue
        for uri in repository.uris:
            lines = ["Types: deb-src", f"URIs: {uri}", f"Suites: {suite}", "Components: main"]
            if repository.signed_by:
                lines.append(f"Signed-By: {repository.signed_by}")
            stanzas[uri.rstrip("/"), repository.signed_by] = "\n".join(lines) + "\n"
    return "\n".join(stanzas.values())


class AptError(Exception):
    """Why there is no tarball, in words for the list of attempts."""


def fetch(
    package: Package, folder: Path, progress: Callable[[str], None], *, root: Path = Path("/")
) -> Path:
    """Download a package's original tarball into `folder`; returns the file. Raises AptError."""
    text = source_list(repositories(root), os_release(root).get("VERSION_CODENAME", ""), package.suite)
    if not text:
        raise AptError("no entry of the machine's apt sources is a Debian archive")
    for name in ("lists/partial", "cache/archives/partial", "files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    sources = folder / f"{package.suite}.sources"
    sources.write_text(text, encoding="utf-8")
    options: Mapping[str, str | Path] = {
        "Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists", "Dir::Cache": folder / "cache",
        "Acquire::Retries": "0", "Acquire::http::Timeout": "10", "Acquire::https::Timeout": "10",
        "APT::Get::List-Cleanup": "false", "Acquire::Languages": "none",
        "APT::Update::Error-Mode": "any",  # otherwise a server that does not answer is no more than a warning
    }
    apt = ["apt-get", "-q", *(f"-o{name}={value}" for name, value in options.items())]
    progress(f"fetching the list of source packages of Debian {package.suite} (apt-get update)")
    _run([*apt, "update"], folder, LISTING_LIMIT)
    progress(f"downloading {package.file} (apt-get source {package.source})")
    file = folder / "files" / package.file
    file.unlink(missing_ok=True)
    _run([*apt, "source", "--download-only", "--tar-only", package.source], folder / "files", DOWNLOAD_LIMIT)
    if not file.is_file():
        there = ", ".join(sorted(path.name for path in file.parent.glob("*.orig.tar.*"))) or "no tarball"
        raise AptError(f"Debian {package.suite} has {there}, not {package.file}")
    return file


def _run(command: Sequence[str], folder: Path, limit: float) -> None:
    result = shell.run(command, cwd=folder, timeout=limit)
    if result.timed_out:
        raise AptError(f"not done after {limit:.0f} s")
    if result.code:
        lines = [line for line in result.output.splitlines() if line.startswith(("E:", "Err:"))]
        raise AptError(" ".join(lines[-2:]) or f"apt-get ended with code {result.code}")
