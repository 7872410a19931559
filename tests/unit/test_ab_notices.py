"""What a comparison's recipe finds worth a notice before the first block."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from samples import interpreter

from runner.builds import record
from runner.cli.terminal import Terminal
from runner.jobs.ab import AbRequest, _copied, _layouts, _notices, _of_training
from runner.model import Build, Interpreter
from runner.report import notices


def built(tree: Path, *flags: str) -> Interpreter:
    made = Build(key="k", tree=tree, source="CPython", source_hash="s", edits=(), edits_hash="", flags=flags,
                 compiler="gcc")
    return replace(interpreter(), spec="cpython@3.13.5?lto", build=made)


def kinds(base: Interpreter, head: Interpreter) -> list[str]:
    return [notice.kind for notice in _notices(base, head)]


def test_arms_that_are_equal_are_said_to_be() -> None:
    one = interpreter("/one/python")
    assert kinds(one, one) == ["same-file"]
    assert kinds(one, interpreter("/other/python")) == ["same-content"]
    assert kinds(one, replace(interpreter("/other/python"), sha256="0")) == []


def test_a_wrapper_is_told_with_what_it_adds() -> None:
    plain = interpreter("/opt/python")
    wrapper = replace(
        interpreter("/home/run.sh"), sha256="0", starts=Path("/opt/python"),
        facts={"CC": "gcc", "wrapper's options": "optimize=1", "wrapper's variables": "TOLD=1"},
    )
    assert kinds(plain, wrapper) == ["wrapper"] and kinds(wrapper, wrapper) == ["wrapper", "wrapper", "same-file"]
    (notice,) = _notices(wrapper, plain)
    assert notices.sentence(notice) == ("The base is a wrapper, /home/run.sh, and was run as it is. It starts "
                                         "/opt/python, and adds: optimize=1; TOLD=1.")
    copied, [why] = _copied(wrapper, plain)
    assert not copied and why.kind == "uncopied" and "is a wrapper" in str(why.numbers["reason"])


def test_how_an_edit_was_applied_is_told_once() -> None:
    arm = built(Path("/one"))
    assert arm.build is not None
    shifted = replace(arm, build=replace(arm.build, notes=("fix.patch: hunk 2 lies 12 lines further down",)))
    assert kinds(shifted, shifted) == ["same-file", "edit"]
    *_, notice = _notices(interpreter("/other/python"), shifted)
    assert notice.kind == "edit"
    assert notices.sentence(notice) == "How an edit was applied: fix.patch: hunk 2 lies 12 lines further down."


def test_builds_that_cannot_be_linked_anew_say_why(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "python").touch()
    (tmp_path / record.NAME).write_text("{}")
    arm = built(tree, "--with-lto")
    layouts, [notice] = _layouts(AbRequest(base="a", head="b"), arm, arm, 1, Terminal())
    assert layouts is None and notice.kind == "scope-binary"
    assert "every new order costs the whole optimisation" in str(notice.numbers["reason"])
    ready_made = interpreter()
    assert _layouts(AbRequest(base="a", head="b"), ready_made, ready_made, 1, Terminal()) == (None, [])


def test_a_trained_build_is_one_draw(tmp_path: Path) -> None:
    trained, plain = built(tmp_path, "--enable-optimizations"), built(tmp_path)
    assert [[one.kind for one in _of_training(*arms)] for arms in ((plain, trained), (trained, plain))] == [
        ["one-profile"], ["one-profile"]]
    assert _of_training(plain, plain) == _of_training(interpreter(), interpreter()) == []
