"""How a measured process is started: argv and environment, without starting one."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from samples import interpreter

from runner.measuring.launch import PADDING, Bytecode, bytecode, command, padded, with_commands
from runner.measuring.process import of_both
from runner.model import Arm, Cause, Failure, Installed, Interpreter

CODE = Bytecode(folder=Path("/scratch/bytecode-base"), library=False)
words = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=6)
variables = st.dictionaries(st.sampled_from(["HOME", "LANG", "PATH"]), st.text("ab/:é", max_size=9))


def on_the_stack(argv: list[str], env: dict[str, str]) -> int:
    """Bytes that execve copies: the strings of argv and the environment, and the path of the executable again."""
    strings = [*argv, *(f"{name}={value}" for name, value in env.items()), argv[0]]
    return sum(len(string.encode()) + 1 for string in strings)


@given(words, words, variables, st.integers(0, 4095))
def test_both_arms_get_the_same_total_size(base: list[str], head: list[str], env: dict[str, str], padding: int) -> None:
    envs = padded({Arm.BASE: base, Arm.HEAD: head}, env, padding)
    assert on_the_stack(base, envs[Arm.BASE]) == on_the_stack(head, envs[Arm.HEAD])
    assert min(len(one[PADDING]) for one in envs.values()) == padding
    assert all({name: value for name, value in one.items() if name != PADDING} == env for one in envs.values())
    assert len(envs[Arm.BASE]) == len(envs[Arm.HEAD])


@given(words, st.integers(0, 4095))
def test_the_padding_is_what_was_drawn_where_the_arms_are_alike(argv: list[str], padding: int) -> None:
    envs = padded({Arm.BASE: argv, Arm.HEAD: argv}, {}, padding)
    assert envs[Arm.BASE] == envs[Arm.HEAD] == {PADDING: "x" * padding}


def test_no_safe_path_before_3_11_and_never_a_flag_that_ignores_the_hash_seed() -> None:
    for version, safe in (("3.8.18", False), ("3.10.0", False), ("3.11.2", True), ("3.14.0a1+", True)):
        words = command(interpreter(version=version), CODE)
        flags = words[1 : words.index("-c")]
        assert "-s" in flags and ("-P" in flags) == safe
        assert not any(letter in flag for flag in flags for letter in "IE"), flags


def test_the_executable_is_used_as_it_was_named() -> None:
    """A virtual environment is found by the link: it is not resolved."""
    assert command(interpreter("/venv/bin/python"), CODE)[0] == "/venv/bin/python"


def test_the_arms_keep_their_bytecode_apart_in_folders_of_one_length(tmp_path: Path) -> None:
    code = bytecode(interpreter(), interpreter("/opt/other/bin/python3.13"), tmp_path)
    base, head = (str(code[arm].folder) for arm in Arm)
    assert base != head and len(base) == len(head)
    lengths = {len(" ".join(command(interpreter(), code[arm]))) for arm in Arm}
    assert len(lengths) == 1


def test_bytecode_of_the_library_is_kept_apart_where_two_programs_share_it(tmp_path: Path) -> None:
    """As in a source tree with an old and a new executable."""
    one = replace(interpreter(sys.executable), sha256="1")
    other = replace(one, sha256="2")
    assert [one.library for one in bytecode(one, other, tmp_path).values()] == [True, True]
    assert [one.library for one in bytecode(one, one, tmp_path).values()] == [False, False], "one compiler"
    nothing = replace(interpreter("/bin/false"), sha256="3")
    assert [one.library for one in bytecode(one, nothing, tmp_path).values()] == [False, False]


def said(arm: Arm, reason: str, cause: Cause = Cause.OTHER) -> Failure:
    return Failure(reason=reason, arm=arm, cause=cause)


def test_what_both_arms_say_is_of_neither_and_what_one_says_is_its_own() -> None:
    base, head = said(Arm.BASE, "raised ValueError: no"), said(Arm.HEAD, "raised ValueError: no")
    assert of_both({Arm.HEAD: head, Arm.BASE: base}) == replace(base, arm=None)
    assert of_both({Arm.HEAD: head}) == head
    other = said(Arm.HEAD, "was killed by SIGKILL", Cause.KILLED)
    assert of_both({Arm.HEAD: other, Arm.BASE: base}) == base
    skips = {arm: said(arm, f"not in {arm.value}", Cause.SKIPPED) for arm in Arm}
    assert of_both(skips) == Failure(reason="not in base", arm=None, cause=Cause.SKIPPED)
    assert of_both({Arm.BASE: skips[Arm.BASE], Arm.HEAD: other}) == other, "a failure is not hidden by a skip"
    assert of_both({Arm.BASE: base, Arm.HEAD: skips[Arm.HEAD]}) == base


def test_commits_of_a_project_find_their_own_commands_first() -> None:
    def arm(commit: str) -> Interpreter:
        installed = Installed(project="p", commit=commit, name=commit, configuration=Path("/p/asv.conf.json"),
                              environment="env", python="3.13", requirements={})
        return replace(interpreter(f"/env/{commit}/bin/python"), installed=installed)

    env = {"PATH": "/usr/bin"}
    arms = {Arm.BASE: arm("a" * 40), Arm.HEAD: arm("b" * 40)}
    found = with_commands(arms, env)
    assert found == {one: {"PATH": f"/env/{letter * 40}/bin:/usr/bin"}
                     for one, letter in ((Arm.BASE, "a"), (Arm.HEAD, "b"))}
    other = {**arms, Arm.HEAD: interpreter()}, {**arms, Arm.HEAD: arm("longer" * 10)}
    assert [with_commands(pair, env) for pair in other] == [{Arm.BASE: {}, Arm.HEAD: {}}] * 2
