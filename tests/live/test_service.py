"""What is deployed: systemd takes the units, Compose's schema the containers, and what they run is there."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from bench import LOCKSTEP

from runner.cli import app
from runner.cli.serve import PORT

ROOT = Path(__file__).parents[2]
UNITS = ("lockstep.service", "lockstep.timer", "lockstep-server.service", "lockstep-agent.service")
PAGES = {"lockstep.service": "service", "lockstep-server.service": "server", "lockstep-agent.service": "agents"}
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
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
    assert (ROOT / "deploy/lockstep.service").is_file(), "a timer starts the service of its name"
    assert unit("lockstep.timer")["Timer"]["Persistent"] == "yes"
    program, *words = service["Service"]["ExecStart"].split()
    for place in (program, words[-1], service["Service"]["EnvironmentFile"].lstrip("-"), "/var/lib", "/var/cache"):
        assert place in page, place
    state = dict(one.split("=") for one in service["Service"]["Environment"].split())
    assert state == {"XDG_STATE_HOME": "/var/lib", "XDG_CACHE_HOME": "/var/cache"}
    assert {service["Service"][f"{kind}Directory"] for kind in ("State", "Cache", "Configuration")} == {"lockstep"}


def check_words(words: list[str]) -> None:
    """Fails for a command line that Lockstep would not take."""
    group = typer.main.get_command(app)
    group.commands[words[0]].make_context(words[0], words[1:])  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PAGES)
def test_a_service_runs_a_command_that_is_there_with_folders_that_its_page_names(name: str) -> None:
    service, page = unit(name)["Service"], (ROOT / "docs" / f"{PAGES[name]}.md").read_text()
    program, *words = shlex.split(service["ExecStart"])
    assert program == "/opt/lockstep/bin/lockstep"
    check_words([word.replace("${LOCKSTEP_SERVER}", "https://lockstep.example.org") for word in words])
    user = service["User"]
    assert f"deploy/{name}" in page and f"useradd --system --home-dir /var/lib/{user} {user}" in page
    assert service["EnvironmentFile"].lstrip("-").startswith("/etc/lockstep/")
    assert (service["NoNewPrivileges"], service["KillMode"]) == ("yes", "mixed")


def test_what_measures_may_do_what_measuring_takes() -> None:
    for name in ("lockstep.service", "lockstep-agent.service"):
        service = unit(name)["Service"]
        measuring = ("PrivateTmp", "LockPersonality", "LimitSTACK", "OOMPolicy", "KillMode")
        assert [service[key] for key in measuring] == ["no", "no", "infinity", "continue", "mixed"], name
    agent = unit("lockstep-agent.service")["Service"]
    forbids = ("RestrictNamespaces", "ProtectProc", "ProtectKernelTunables", "PrivateDevices", "SystemCallFilter")
    assert not [key for key in forbids if key in agent], "bubblewrap makes namespaces and mounts a /proc"
    assert agent["User"] != unit("lockstep-server.service")["Service"]["User"]
    assert agent["RestartPreventExitStatus"] == "2"


@needs_systemd
def test_the_server_is_exposed_little(tmp_path: Path) -> None:
    folder = tmp_path / "units"
    verify(folder)
    done = subprocess.run(
        [str(ANALYZE), "security", "--offline=yes", "--no-pager", "--threshold=35",
         str(folder / "lockstep-server.service")], capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("needs systemd 250")
    assert done.returncode == 0, done.stdout + done.stderr


# --- Containers


def test_compose_takes_its_file() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
               ROOT / "deploy/compose.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("profile", ["sqlite", "postgresql"])
def test_a_profile_is_a_server_that_its_neighbours_find(profile: str) -> None:
    chosen = {name: one for name, one in COMPOSE["services"].items() if profile in one["profiles"]}
    (server,) = (one for one in chosen.values() if one.get("image") == "lockstep-server")
    check_words(server["command"])
    assert "0.0.0.0" in server["command"], "Caddy is in another container"
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"FROM lockstep AS {server['build']['target']}\n" in dockerfile and f"EXPOSE {PORT}" in dockerfile
    assert (ROOT / "deploy" / server["build"]["context"] / "Dockerfile").is_file()
    assert {volume.partition(":")[0] for one in chosen.values() for volume in one["volumes"]} <= {
        *COMPOSE["volumes"], "./Caddyfile"}
    (alias,) = server["networks"]["default"]["aliases"]
    assert chosen["tls"]["environment"]["LOCKSTEP_UPSTREAM"] == f"{alias}:{PORT}"
    assert f":{PORT}/healthz" in server["healthcheck"]["test"][-1]
    if profile == "postgresql":
        database, url = chosen["database"], server["command"][-1]
        user, name = (database["environment"][f"POSTGRES_{key}"] for key in ("USER", "DB"))
        assert url == f"postgresql://{user}@database/{name}" and set(server["depends_on"]) == {"database"}
        assert database["environment"]["POSTGRES_PASSWORD"] == server["environment"]["PGPASSWORD"]


def test_caddy_passes_on_what_the_server_takes() -> None:
    text = (ROOT / "deploy/Caddyfile").read_text()
    assert text.count("{") == text.count("}")
    assert f"127.0.0.1:{PORT}" in text
    from runner.jobs.watched import Serve

    (largest,) = re.findall(r"max_size (\d+)MiB", text)
    assert int(largest) << 20 > Serve().largest_upload
