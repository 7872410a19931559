"""The machine's apt sources, in both formats, and the list made from them; sources.toml; build products."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.builds import apt, releases, sources
from runner.errors import UsageError

DATA = Path(__file__).parents[3] / "data"

DEB822 = """\
Types: deb
# a comment
URIs: http://mirror.example/debian/ http://second.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://third.example/tools
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----
"""
LINES = """\
# deb http://off.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # words
deb-src [arch=amd64 signed-by=/k/a.gpg] http://mirror.example/debian bookworm-updates main
deb [signed-by=/k/b.gpg] http://tools.example stable main
deb cdrom:[Debian]/ bookworm main
"""


def test_deb822_stanzas() -> None:
    found = apt.parse_deb822(DEB822)
    assert [repository.uris[0] for repository in found] == [
        "http://mirror.example/debian/", "http://mirror.example/debian-security", "http://third.example/tools",
    ]
    assert found[0].uris[1] == "http://second.example/debian"
    assert found[0].suites == ("bookworm", "bookworm-updates")
    assert found[0].signed_by == "/usr/share/keyrings/debian.gpg"
    assert found[2].signed_by.endswith("mQINBF\n -----END PGP PUBLIC KEY BLOCK-----")


def test_one_line_entries() -> None:
    found = apt.parse_lines(LINES)
    assert found[0] == apt.Repository(
        uris=("http://mirror.example/debian",), suites=("bookworm",), components=("main", "contrib"),
    )
    assert found[1].signed_by == "/k/a.gpg"
    assert found[2].suites == ("stable",)


def test_the_list_has_the_wanted_suite_from_the_machines_own_archive_with_its_key() -> None:
    text = apt.source_list(apt.parse_deb822(DEB822), "bookworm", "trixie")
    stanzas = text.split("\n\n")
    assert stanzas[0] == (
        "Types: deb-src\nURIs: http://mirror.example/debian/\nSuites: trixie\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian.gpg"
    )
    assert "security" not in text
    assert "off.example" not in text
    assert "bookworm" not in text
    # What was written reads back, a key of several lines included.
    assert [repository.signed_by for repository in apt.parse_deb822(text)][-1].startswith("\n -----BEGIN")
    assert apt.source_list(apt.parse_lines("deb http://t.example nodistro main"), "bookworm", "trixie") == ""


def test_the_machine_is_read_from_a_root(tmp_path: Path) -> None:
    (tmp_path / "etc/apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "etc/apt/sources.list").write_text("deb http://one.example/debian bookworm main\n")
    (tmp_path / "etc/apt/sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "etc/apt/sources.list.d/old.list.disabled").write_text("deb http://bad.example/debian bookworm main\n")
    (tmp_path / "etc/os-release").write_text('ID=ubuntu\nID_LIKE="debian"\nVERSION_CODENAME=noble\n')
    assert [repository.uris[0] for repository in apt.repositories(tmp_path)][:2] == [
        "http://one.example/debian", "http://mirror.example/debian/",
    ]
    assert not any("bad.example" in repository.uris for repository in apt.repositories(tmp_path))


def test_apt_get_is_tried_on_debian_and_its_like_where_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "etc").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    for said, like in (('ID=ubuntu\nID_LIKE="debian"\n', True), ("ID=debian\n", True), ("ID=fedora\n", False),
                       ("ID=x\nID_LIKE='other debian'\n", True), ("", False)):
        (tmp_path / "etc/os-release").write_text(said)
        (tmp_path / "apt-get").unlink(missing_ok=True)
        assert apt.unavailable(tmp_path) == ("there is no apt-get" if like else "this is not a Debian-like system")
        (tmp_path / "apt-get").touch(0o755)
        assert (apt.unavailable(tmp_path) is None) == like


def test_the_pinned_releases() -> None:
    catalogue = releases.read(DATA / "sources.toml")
    found = catalogue.releases.values()
    assert len({release.sha256 for release in found}) == len(found) >= 2
    assert all(name.startswith(f"Python-{release.version}.t") for release in found for name in release.files)
    assert "cpython@3.13.5" in (DATA.parent / "README.md").read_text() and catalogue.find("3.13.5") in found
    with pytest.raises(UsageError, match=r"3\.12\.1 is not in .*3\.13\.5.*tar:FILE"):
        catalogue.find("3.12.1")


@pytest.mark.parametrize(("text", "words"), [
    ("url = ", "sources.toml: "), ("url = 'x'\n[[release]]\nversion = '3.1.1'", "lacks a field"),
    ("url = 'x'\n[[release]]\nversion = '3.1.1'\nfiles = [{name = 'a', sha256 = 'zz'}]", "64 digits"),
])
def test_a_bad_sources_file_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sources.toml").write_text(text)
    with pytest.raises(UsageError, match=words):
        releases.read(tmp_path / "sources.toml")


@pytest.mark.parametrize("file", [
    "python", "Objects/object.o", "Lib/__pycache__/os.cpython-313.pyc", "pyconfig.h", "Makefile", "build/x/y.so",
    "Modules/Setup.local", "Python/frozen_modules/os.h", "Programs/_freeze_module", ".git/HEAD", "pybuilddir.txt",
])
def test_products_of_a_build_are_told_apart(file: str) -> None:
    assert sources.is_product(file)


@pytest.mark.parametrize("file", [
    "configure", "Python/ceval.c", "Makefile.pre.in", "pyconfig.h.in", "Modules/Setup", "PC/pyconfig.h",
    "Tools/build/freeze_modules.py", "Lib/platform.py", "Modules/Setup.stdlib.in", "Python/frozen_modules/README.txt",
    "Lib/distutils/command/build.py", "Tools/build/x.py",
])
def test_sources_are_not_taken_for_products(file: str) -> None:
    assert not sources.is_product(file)
