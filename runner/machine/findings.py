"""What `doctor` finds: one record a thing."""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How a thing stands for measuring."""

    GOOD = "good"
    COULD_BE_BETTER = "could be better"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about the machine, what it means, and what to do about it."""

    name: str
    value: str
    """What is, with its unit: ``powersave``, ``3.2 % of CPU 1``."""
    state: State
    advice: str = ""
    """What it means for measurements and what would improve it; empty where it is good."""
    command: str = ""
    """A shell command that does that; empty where there is none."""


_MANAGERS = {"apt-get": "install", "dnf": "install", "zypper": "install", "pacman": "-S", "apk": "add"}
_PACKAGES = {
    "perf": {"apt-get": "linux-perf", "apk": "perf"},
    "compiler": {"apt-get": "build-essential", "pacman": "base-devel", "apk": "build-base"},
    "make": {},
    "valgrind": {},
}


def install(what: str) -> str:
    """Return the command that installs "perf", "valgrind", "make" or "compiler" here; "" if it is not known."""
    for manager, verb in _MANAGERS.items():
        if shutil.which(manager):
            package = _PACKAGES[what].get(manager, "gcc" if what == "compiler" else what)
            if package == "linux-perf" and not _is_debian():
                package = "linux-tools-generic"  # Ubuntu and what is made from it
            return f"sudo {manager} {verb} {package}"
    return ""


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False
