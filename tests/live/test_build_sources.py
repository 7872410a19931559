"""Where sources come from: downloads from a server of our own, tarballs, git repositories, used trees."""

from __future__ import annotations

import http.server
import os
import random
import shutil
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_source import compiled, plant, snapshot
from servers import nobody

from runner import builds
from runner.builds import apt, download, releases, sources, spec
from runner.errors import BuildError, UsageError

NAME = "Python-3.1.4.tar.gz"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/lockstep"


def resolve(spec: str) -> builds.Interpreter:
    return builds.resolve(spec, progress=lambda _: None)


def build(text: str) -> spec.BuildSpec:
    parsed = spec.parse(text)
    assert parsed is not None
    return parsed


def pack(tree: Path, target: Path) -> Path:
    with tarfile.open(target, "w:gz") as archive:
        archive.add(tree, arcname="Python-3.1.4")
    return target


class _Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL pattern of a server that serves the folder `site`."""
    site = tmp_path / "site/3.1.4"
    site.mkdir(parents=True)

    class Handler(_Handler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(site.parent))  # type: ignore[arg-type]

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/{{folder}}/{{file}}"
        running.shutdown()
        thread.join()


def catalogue(url: str, sha256: str) -> releases.Catalogue:
    release = releases.Release(version="3.1.4", files={NAME: sha256})
    return releases.Catalogue(path=Path("sources.toml"), url=url, releases={"3.1.4": release})


def obtain(known: releases.Catalogue) -> Path:
    return releases.obtain(known.find("3.1.4"), known, lambda _: None)


def test_a_release_is_downloaded_once(tmp_path: Path, server: str) -> None:
    packed = pack(plant(tmp_path / "tree"), tmp_path / "site/3.1.4" / NAME)
    known = catalogue(server, releases.sha256_of(packed))
    first = obtain(known)
    assert first.read_bytes() == packed.read_bytes()
    packed.unlink()
    assert obtain(known) == first


def test_a_wrong_sum_is_told_with_both_and_the_file_moved_aside(tmp_path: Path, server: str, own_cache: Path) -> None:
    packed = pack(plant(tmp_path / "tree"), tmp_path / "site/3.1.4" / NAME)
    right, wrong = "0" * 64, releases.sha256_of(packed)
    (own_cache / "downloads").mkdir(parents=True)
    (own_cache / "downloads" / NAME).write_text("torn")
    with pytest.raises(BuildError) as caught:
        obtain(catalogue(server, right))
    message = str(caught.value)
    assert message.count(f"must be {right}") == 2  # the cached one, then the downloaded one
    assert wrong in message
    assert f"{NAME}.wrong" in message
    assert not (own_cache / "downloads" / NAME).exists()
    # A good one is taken even though a bad one lay there.
    (own_cache / "downloads" / NAME).write_text("torn")
    assert obtain(catalogue(server, wrong)).read_bytes() == packed.read_bytes()


def test_every_attempt_is_listed_with_its_reason(server: str, own_cache: Path) -> None:
    with pytest.raises(BuildError) as caught:
        obtain(catalogue(server, "0" * 64))
    message = str(caught.value)
    assert "there is none yet" in message
    assert "the server answered 404" in message
    assert "Put Python-3.1.4.tar.gz into" in message
    with nobody() as port, pytest.raises(BuildError, match="refused"):
        obtain(catalogue(f"http://127.0.0.1:{port}/{{file}}", "0" * 64))


@pytest.mark.parametrize(("answer", "connect", "words"), [
    (b"", 0.3, "no answer within 0.3 s"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nabc", 60.0, "nothing more came for 0.4 s"),
])
def test_a_silent_server_is_given_up_quickly(tmp_path: Path, answer: bytes, connect: float, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
                ended.wait(600)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(download.DownloadError, match=words):
            download.fetch(
                f"http://127.0.0.1:{listening.getsockname()[1]}/x", tmp_path / "x", connect=connect, stall=0.4
            )
        assert thread.is_alive(), "the server would have gone on"
        ended.set()
        thread.join()
    assert list(tmp_path.glob("x*")) == []


def test_a_download_that_ends_early_is_no_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nabc")

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(download.DownloadError, match=r"after 3 of 100 bytes|IncompleteRead"):
            download.fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/x", tmp_path / "x")
        thread.join()
    assert list(tmp_path.glob("x*")) == []


@pytest.mark.skipif(apt.unavailable() is not None, reason="needs apt-get")
def test_apt_get_says_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "etc/apt").mkdir(parents=True)
    (tmp_path / "etc/os-release").write_text("ID=debian\nVERSION_CODENAME=bookworm\n")
    package = apt.Package(suite="trixie", source="python3.13", file="x.tar.xz")
    with pytest.raises(apt.AptError, match="no entry of the machine's apt sources"):
        apt.fetch(package, tmp_path / "ours", lambda _: None, root=tmp_path)
    with nobody() as port, pytest.raises(apt.AptError, match=r"refused|Failed to fetch"):
        (tmp_path / "etc/apt/sources.list").write_text(f"deb http://127.0.0.1:{port}/debian bookworm main\n")
        apt.fetch(package, tmp_path / "ours", lambda _: None, root=tmp_path)


def test_a_tarball_is_built(tmp_path: Path) -> None:
    packed = pack(plant(tmp_path / "tree"), tmp_path / "my.tar.gz")
    made = resolve(str(packed))
    assert made.build is not None
    assert compiled(made.build.tree) == ["a.c", "b.c"]
    named = resolve(f"tar:{packed}")
    assert named.build is not None
    assert named.build.key == made.build.key


def test_what_is_no_whole_tarball_is_told(tmp_path: Path) -> None:
    text = random.Random(1).randbytes(20_000).hex()
    packed = pack(plant(tmp_path / "tree", big=text), tmp_path / "my.tar.gz")
    whole = packed.read_bytes()
    damaged = [whole[:at] + b"\0" * 100 + whole[at + 100:] for at in range(20, len(whole) - 100, 997)]
    for content in (whole[: len(whole) // 2], whole[:-4], b"hello", b"", *damaged):
        packed.write_bytes(content)
        with pytest.raises(UsageError, match=r"my\.tar\.gz cannot be unpacked .* it is damaged"):
            resolve(f"tar:{packed}")
    with tarfile.open(tmp_path / "plain.tar", "w") as archive:
        archive.add(tmp_path / "tree", arcname="x")
    with tarfile.open(tmp_path / "plain.tar") as archive:
        last = archive.getmembers()[-1]
    changed = bytearray((tmp_path / "plain.tar").read_bytes())
    changed[last.offset + 20] ^= 1  # in a header, which has a checksum
    (tmp_path / "plain.tar").write_bytes(changed)
    with pytest.raises(UsageError, match="no header where a file should start"):
        resolve(f"tar:{tmp_path / 'plain.tar'}")
    with tarfile.open(tmp_path / "plain.tar", "w") as archive:
        member = tarfile.TarInfo("x")
        member.mtime = int(1e20)
        archive.addfile(member)
    with pytest.raises(UsageError, match=r"cannot be unpacked \(timestamp out of range"):
        resolve(f"tar:{tmp_path / 'plain.tar'}")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/readme").touch()
    pack(tmp_path / "other", packed)
    with pytest.raises(UsageError, match="no configure script"):
        resolve(f"tar:{packed}")
    with pytest.raises(UsageError, match="is not a file; a source tree is named by dir:"):
        resolve(f"tar:{tmp_path / 'tree'}")


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(tree: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main",
                # A newer git looks after a repository when its command has ended, and leaves its traces meanwhile.
                "-c", "maintenance.auto=false")
    ran = subprocess.run(["git", *identity, *words], cwd=tree, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    tree = plant(tmp_path / "repository")
    git(tree, "init", "--quiet")
    (tree / ".gitignore").write_text("*.o\n/python\n/Makefile\n")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "-m", "first")
    git(tree, "tag", "v1")
    (tree / "a.c").write_text("int second;\n")
    git(tree, "commit", "--quiet", "--all", "-m", "second")
    return tree


@needs_git
@pytest.mark.parametrize("place", ["{0}", "file://{0}"])
def test_a_commit_is_built_and_the_repository_left_alone(repository: Path, place: str, own_cache: Path) -> None:
    before = snapshot(repository)
    first = resolve(f"git:{place.format(repository)}@v1")
    second = resolve(f"git:{place.format(repository)}@main")
    assert snapshot(repository) == before
    assert first.build is not None
    assert second.build is not None
    assert (first.build.tree / "linked").read_text().startswith("int a;")
    assert (second.build.tree / "linked").read_text().startswith("int second;")
    assert first.build.source.startswith("git v1 (")
    found = {difference.what: difference.asked for difference in builds.differences(first, second)}
    assert found == {"source": True}
    # One tree is one source, whatever it is called.
    commit = git(repository, "rev-parse", "v1")
    again = resolve(f"git:{place.format(repository)}@{commit}")
    assert again.build is not None
    assert again.build.key == first.build.key


@needs_git
def test_a_branch_that_moved_is_fetched_again(repository: Path) -> None:
    name = f"git:file://{repository}@main"
    first = resolve(name)
    (repository / "a.c").write_text("int third;\n")
    git(repository, "commit", "--quiet", "--all", "-m", "third")
    second = resolve(name)
    assert first.build is not None
    assert second.build is not None
    assert first.build.key != second.build.key


@needs_git
@pytest.mark.parametrize(("text", "error", "words"), [
    ("git:{0}@gone", UsageError, "cannot find gone in .*no such branch"),
    ("git:{0}/nowhere@main", UsageError, "does not exist, and it is not a URL"),
    ("git:file://{0}@gone", BuildError, "cannot fetch gone from file:"),
    ("git:{0}@--help", UsageError, "is not a branch"),
])
def test_what_git_does_not_have_is_told(
    repository: Path, text: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        resolve(text.format(repository))


@needs_git
def test_a_used_checkout_is_built_as_it_stands_without_its_products(repository: Path) -> None:
    (repository / "a.c").write_text("int changed;\n")  # not committed
    (repository / "new.h").write_text("")  # not even added
    (repository / "a.o").write_text("stale\n")  # newer than its source, and ignored by git
    (repository / "Makefile").write_text("python:\n\tfalse\n")
    made = resolve(f"dir:{repository}")
    assert made.build is not None
    assert (made.build.tree / "linked").read_text().startswith("int changed;")
    assert (made.build.tree / "new.h").exists()


def test_a_tree_that_was_built_in_place_is_built_anew(tmp_path: Path) -> None:
    tree = plant(tmp_path / "tree")
    fresh = sources.find(build(f"dir:{tree}"), tmp_path, print).hash
    subprocess.run("./configure && make", shell=True, cwd=tree, check=True, capture_output=True)
    (tree / "a.o").write_text("stale\n")
    (tree / "compiled.txt").unlink()
    (tree / "python").unlink()
    (tree / "python").write_text("stale")
    (tree / "linked").unlink()  # no product of CPython's
    assert sources.find(build(f"dir:{tree}"), tmp_path, print).hash == fresh
    made = resolve(f"dir:{tree}")
    packed = resolve(f"tar:{pack(tree, tmp_path / 'used.tgz')}")
    for interpreter in (made, packed):
        assert interpreter.build is not None
        assert compiled(interpreter.build.tree) == ["a.c", "b.c"]
        assert "stale" not in (interpreter.build.tree / "linked").read_text()
    assert (tree / "a.o").read_text() == "stale\n"


@pytest.mark.parametrize("in_git", [False, pytest.param(True, marks=needs_git)])
def test_links_inside_of_a_tree_are_kept_and_those_out_of_it_refused(tmp_path: Path, in_git: bool) -> None:
    tree = plant(tmp_path / "tree")
    (tree / "Lib/other.py").symlink_to("module.py")
    (tree / "folder").symlink_to("Lib")
    os.mkfifo(tree / "pipe")
    if in_git:
        git(tree, "init", "--quiet")
    made = resolve(f"dir:{tree}")
    assert made.build is not None
    assert (made.build.tree / "Lib/other.py").readlink() == Path("module.py")
    assert (made.build.tree / "folder").readlink() == Path("Lib")
    (tmp_path / "outside.c").write_text("int a;\n")
    for target in ("../outside.c", str(tmp_path / "outside.c"), str(tree / "b.c"), "folder/../../outside.c", "../gone"):
        (tree / "a.c").unlink()
        (tree / "a.c").symlink_to(target)
        with pytest.raises(UsageError, match=rf"a\.c is a symbolic link to {target}, which leads out of the source"):
            resolve(f"dir:{tree}")


@pytest.mark.skipif(not hasattr(tarfile, "FilterError"), reason="this Python's tarfile has no filters")
@pytest.mark.parametrize("target", ["../../outside.c", "/outside.c"])
def test_a_tarball_whose_link_leads_out_of_it_is_refused(tmp_path: Path, target: str) -> None:
    tree = plant(tmp_path / "tree")
    (tree / "c.c").symlink_to(target)
    with pytest.raises(UsageError, match=r"my\.tar\.gz is not unpacked: something in it leads out of its tree"):
        resolve(f"tar:{pack(tree, tmp_path / 'my.tar.gz')}")


@pytest.mark.parametrize("edit", ["change", "remove", "tarball"])
def test_what_is_edited_while_the_other_arm_is_built_is_not_built_under_its_old_name(tmp_path: Path, edit: str) -> None:
    tree = plant(tmp_path / "tree")
    named = str(pack(tree, tmp_path / "source.tar.gz")) if edit == "tarball" else f"dir:{tree}"
    source = sources.find(build(named), tmp_path / "none", lambda _: None)
    if edit == "change":
        (tree / "a.c").write_text("int another;\n")
    elif edit == "remove":
        (tree / "a.c").unlink()
    else:
        pack(plant(tmp_path / "other", a_c="int another;\n"), tmp_path / "source.tar.gz")
    with pytest.raises(UsageError, match="was edited since this began"):
        sources.obtain(source, tmp_path / "copy", lambda _: None)
