"""Modules that only one arm has are a difference that nobody asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
from test_differences import made, ready

from runner.builds import differences, modules
from runner.model import Difference, Interpreter, Notice
from runner.report import notices

SSL = {"_ssl": "OpenSSL 3.0.17", "zlib": "1.2.13"}
NONE = {"_ssl": "missing", "zlib": "1.2.13"}


def of(interpreter: Interpreter, found: Mapping[str, str] | None) -> Interpreter:
    return replace(interpreter, modules=found)


def only(base: Interpreter, head: Interpreter) -> Difference | None:
    return next((one for one in differences(base, head) if one.what == "modules"), None)


def test_a_module_of_one_arm_is_warned_about() -> None:
    found = only(of(ready("p"), SSL), of(ready("q"), NONE))
    assert found == Difference(what="modules", base="_ssl OpenSSL 3.0.17", head="_ssl missing", asked=False)
    sentence = notices.sentence(Notice(
        kind="unasked-difference", numbers={"what": found.what, "base": found.base, "head": found.head}))
    assert sentence == (
        "The builds differ in modules, which was not asked for: _ssl OpenSSL 3.0.17 in base, _ssl missing in head.")
    # Builds of two sources too: what is installed where they were made has nothing to do with the sources.
    found = only(of(made("a"), SSL), of(made("b", source="s2"), NONE))
    assert found is not None and not found.asked


def test_another_library_behind_a_module_is_warned_about() -> None:
    found = only(of(ready("p"), SSL), of(ready("q"), {**SSL, "zlib": "1.3.1.zlib-ng"}))
    assert found == Difference(what="modules", base="zlib 1.2.13", head="zlib 1.3.1.zlib-ng", asked=False)


def test_flags_may_leave_a_module_out() -> None:
    found = only(of(made("a"), SSL), of(made("b", flags=("CC=gcc", "--with-openssl=no")), NONE))
    assert found is not None and found.asked


def test_what_is_alike_or_not_known_is_no_difference() -> None:
    assert only(of(ready("p"), SSL), of(ready("q"), dict(SSL))) is None
    assert only(of(ready("p"), None), of(ready("q"), NONE)) is None


def test_a_module_that_a_version_never_had_is_not_missing_from_it() -> None:
    later = of(ready("q", version="3.14.0"), {**SSL, "_zstd": "missing"})
    assert only(of(ready("p", version="3.13.5"), SSL), later) is None
    assert only(of(ready("p", version="3.14.1"), SSL), later) is not None


def test_what_an_interpreter_says() -> None:
    """This interpreter, with `zlib` hidden and `_bz2` damaged."""
    plain = {"zlib": "missing"}
    hide = (
        "import sys, importlib.machinery as m\n"
        "class Hide:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'zlib': raise ModuleNotFoundError(name, name=name)\n"
        "        if name == '_bz2': return m.ModuleSpec(name, self)\n"
        "    def create_module(self, spec): raise ImportError('libbz2.so.1.0: cannot open', name='_bz2', path='x')\n"
        "    def exec_module(self, module): pass\n"
    )
    script = f"{hide}{modules.SCRIPT}\n%s\nprint(modules())"
    here = eval(subprocess.run([sys.executable, "-S", "-c", script % ""], check=True, capture_output=True).stdout)
    assert here["winreg"] == "missing"
    assert "json" not in here
    if sys.platform == "linux" and here.get("zlib", "missing") != "missing":
        assert here["zlib"][0].isdigit()
    hidden = eval(subprocess.run(
        [sys.executable, "-S", "-c", script % "sys.meta_path.insert(0, Hide()); sys.modules.pop('zlib', None)"],
        check=True, capture_output=True).stdout)
    assert plain.items() <= hidden.items()
    assert hidden["_bz2"] == "broken"


@pytest.mark.parametrize("alike", [True, False])
def test_swapping_the_arms_swaps_the_sides(alike: bool) -> None:
    one, other = {"a": "1", "b": "missing"}, {"a": "2", "c": "missing"}
    assert modules.differences(one, other, alike=alike) == modules.differences(other, one, alike=alike)[::-1]
