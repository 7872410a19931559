"""The systemd units: systemd itself takes them, and what they run is there."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from bench import LOCKSTEP

ROOT = Path(__file__).parents[2]
UNITS = ("lockstep.service", "lockstep.timer")
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read(ROOT / "deploy" / name)
    return found


def verify(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """What systemd says of the units in a folder, in which the program is where it is here; `changes` by key."""
    folder.mkdir()
    for name in UNITS:
        text = (ROOT / "deploy" / name).read_text().replace("/opt/lockstep/bin/lockstep", str(LOCKSTEP))
        for key, value in changes.items():
            text = re.sub(rf"^{key}=.*", f"{key}={value}", text, flags=re.MULTILINE)
        (folder / name).write_text(text)
    command = [str(ANALYZE), "verify", "--man=no", *(str(folder / name) for name in UNITS)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    done = verify(tmp_path / "units")
    said = [line for line in done.stderr.splitlines() if any(name in line for name in UNITS)]
    assert (done.returncode, said) == (0, []), done.stderr


@needs_systemd
@pytest.mark.parametrize(("key", "value"), [("ExecStart", "/nowhere/lockstep"), ("OnCalendar", "at night"),
                                            ("KillMode", "gently")])
def test_it_would_say_what_is_wrong(tmp_path: Path, key: str, value: str) -> None:
    done = verify(tmp_path / "units", **{key: value})
    assert value.split()[0] in done.stderr


def test_the_timer_starts_the_service_and_all_folders_are_those_of_the_page() -> None:
    service, page = unit("lockstep.service"), (ROOT / "docs/service.md").read_text()
    assert {Path(name).stem for name in UNITS} == {"lockstep"}, "a timer starts the service of its name"
    assert unit("lockstep.timer")["Timer"]["Persistent"] == "yes"
    program, *words = service["Service"]["ExecStart"].split()
    for place in (program, words[-1], service["Service"]["EnvironmentFile"].lstrip("-"), "/var/lib", "/var/cache"):
        assert place in page, place
    state = dict(one.split("=") for one in service["Service"]["Environment"].split())
    assert state == {"XDG_STATE_HOME": "/var/lib", "XDG_CACHE_HOME": "/var/cache"}
    assert {service["Service"][f"{kind}Directory"] for kind in ("State", "Cache", "Configuration")} == {"lockstep"}
