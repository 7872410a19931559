"""The command line in this process, and a folder of runs for it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from samples import block, manifest

from runner import cli, config
from runner.model import Arm, BlockKind, Failure
from runner.storage import store


@pytest.fixture
def lockstep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run the command line in this process: exit code, standard output, standard error."""
    monkeypatch.setattr(config, "STATE", tmp_path / "state")
    before = signal.getsignal(signal.SIGTERM)

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lockstep", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs with one that holds a failed benchmark, and nothing else."""
    folder = store.create(tmp_path / "runs", manifest())
    failure = Failure(reason="raised ValueError: no", arm=Arm.HEAD)
    with store.appending(folder) as append:
        append(block(kind=BlockKind.CALIBRATION, base=(), head=(), order="", failure=failure))
    return tmp_path / "runs"
