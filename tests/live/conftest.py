"""A bench for each test, pairs of interpreters to run on, and one finished run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import Bench, Twins, cores, ended, share

sys.path.insert(0, str(Path(__file__).parents[1]))
from postgres import Server, programs, server

# What two tests start that run at once measures at the same time, each on cores of its own.
if "PYTEST_XDIST_WORKER" in os.environ and "LOCKSTEP_CPUS" not in os.environ:
    os.environ["LOCKSTEP_CPUS"] = share(
        os.environ["PYTEST_XDIST_WORKER"], int(os.environ["PYTEST_XDIST_WORKER_COUNT"]), cores())

# A shell starts what is to run in the background with this signal ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def background() -> Iterator[Callable[[subprocess.Popen[str]], subprocess.Popen[str]]]:
    """Have a started process killed when the test ends."""
    with contextlib.ExitStack() as stack:
        yield lambda process: stack.enter_context(ended(process))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(folder=tmp_path)


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a cache of the test's own, and nothing of git's in the environment."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    folder = tmp_path_factory.mktemp("twins")
    for arm in ("base", "head"):
        venv.create(folder / arm, symlinks=True, with_pip=False)
    return Twins(base=folder / "base", head=folder / "head")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, twins: Twins) -> Bench:
    """A bench with one finished run of the two healthy benchmarks."""
    bench = Bench(folder=tmp_path_factory.mktemp("finished"))
    suite = Path(__file__).parent / "faults"
    done = bench.run("ab", *twins.pythons, "--suite", suite, "-b", "healthy", "--margin", "30%", "--seed", 5)
    assert done.returncode == 0, done.stderr
    return bench


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, in which each test makes a database for itself (`database`)."""
    if programs() is None and not os.environ.get("LOCKSTEP_NEEDS_POSTGRES"):
        pytest.skip("PostgreSQL is missing (Debian: apt-get install postgresql)")
    with server() as made:
        yield made


@pytest.fixture
def inside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run a command in this process, which has its imports: for what measures nothing and starts nothing."""
    from runner import cli

    before = signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr("sys.argv", ["lockstep", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert isinstance(end.value.code, int)
        return subprocess.CompletedProcess([str(word) for word in words], end.value.code, *capsys.readouterr())

    yield run
    signal.signal(signal.SIGTERM, before)


FIRST = ("test_stand_ins.py", "test_verify.py", "test_wheel.py")
"""Files that take long and would come late, when a worker may be left alone with them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of their names, but for `FIRST`."""
    items.sort(key=lambda item: item.path.name not in FIRST)
