"""`lockstep publish` as users run it: asv's pages beside ours, and what goes wrong on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
from bench import LOCKSTEP, TIME_LIMIT, ended, wait_until

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from made_runs import make_asv_project, make_run, make_runs, some_benchmarks


def publish(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LOCKSTEP, "publish", "--runs", folder / "runs", "--to", folder / "site", *words], capture_output=True,
        text=True, timeout=TIME_LIMIT, check=False,
    )


def content(site: Path) -> Mapping[Path, bytes]:
    return {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_runs(tmp_path / "runs", 2, 4)
    return tmp_path


def test_what_asv_cannot_read_is_named_and_left_out(folder: Path) -> None:
    configuration = make_asv_project(folder)
    results = folder / "results"
    torn, strange, *_ = sorted((results / "box").glob("*-lockstep-*.json"))
    torn.write_text(torn.read_text()[:100])
    strange.write_text("[1, 2]")
    newer = {**json.loads((results / "box" / "machine.json").read_text()), "version": 99}
    (results / "other").mkdir()
    (results / "other" / "machine.json").write_text(json.dumps(newer))
    (results / "other" / "0123abcd-lockstep.json").write_text("{}")
    done = publish(folder, "--config", configuration)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("problem: left out of asv's pages")]
    assert len(said) == 3, done.stdout
    assert torn.name in said[0] and strange.name in said[1] and "other (1 files)" in said[2] and "newer" in said[2]
    index = json.loads((folder / "site" / "asv" / "index.json").read_text())
    assert list(index["benchmarks"]) == ["work.time_it"] and list(index["machines"]) == ["box"]
    assert torn.stat().st_size == 100, "it is left as it is"


def test_asv_pages_are_made_anew_only_for_new_results(folder: Path) -> None:
    configuration = make_asv_project(folder)
    publish(folder, "--config", configuration)
    page = folder / "site" / "asv" / "index.html"
    before = page.stat().st_ino
    publish(folder, "--config", configuration)
    assert page.stat().st_ino == before
    (folder / "results" / "box" / "machine.json").touch()
    publish(folder, "--config", configuration)
    assert page.stat().st_ino != before


def test_without_npm_the_pages_are_there_and_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = make_asv_project(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    bare = folder / "bin"
    bare.mkdir()
    (bare / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(bare))
    done = publish(folder, "--config", configuration)
    assert done.returncode == 0, done.stderr
    assert "asv's pages need internet access" in done.stdout and "npm" in done.stdout
    assert "https://" in (folder / "site" / "asv" / "index.html").read_text()


def test_a_kill_leaves_the_old_site(folder: Path) -> None:
    assert publish(folder, "--no-asv").returncode == 0
    before = content(folder / "site")
    for number in range(20, 60):
        make_run(folder / "runs", number, some_benchmarks(8))
    command = [LOCKSTEP, "publish", "--no-asv", "--runs", folder / "runs", "--to", folder / "site"]
    with ended(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)) as process:
        wait_until(lambda: any(folder.glob(".site.new-*/site/runs/*.html")))
        process.kill()
    assert content(folder / "site") == before
    assert list(folder.glob(".site.new-*")), "what it was writing"
    assert publish(folder, "--no-asv").returncode == 0
    assert not list(folder.glob(".site.new-*"))
    assert len(list((folder / "site" / "runs").glob("2*.html"))) == 42


@pytest.mark.parametrize("doing", ["os.getpid", "waiting"], ids=["idle", "busy"])
def test_those_who_share_the_work_end_with_a_parent_that_is_killed(doing: str) -> None:
    """In the middle of a call too, whatever that does with a signal: they hold its locks, and wait for each other."""
    code = (
        "import os, signal, time\n"
        "from runner import cli, shell\n"
        "def waiting():\n"
        "    try:\n"
        "        time.sleep(0.2)\n"
        "    except KeyboardInterrupt:\n"
        "        pass\n"
        "    return os.getpid()\n"
        "signal.signal(signal.SIGTERM, cli._terminate)\n"
        "with shell.pool(2) as pool:\n"
        f"    calls = [pool.submit({doing}) for _ in range(20)]\n"
        "    print(*{future.result() for future in calls[:10]}, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False,
                          timeout=TIME_LIMIT)
    assert done.stdout.split()
    wait_until(lambda: not any(psutil.pid_exists(int(pid)) for pid in done.stdout.split()))
