"""Laws that every benchmark of the project's own suites keeps."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import benchmarks
from benchmarks import construct, getvalue, memory, readlines, sizes, write_after_share
from benchmarks.consumers import archives, compression, messages, network, packages, streams

FOLDER = Path(benchmarks.__file__).parent
FAMILIES = (construct, readlines, getvalue, write_after_share, memory)
CONSUMERS = (archives, compression, streams, messages, network, packages)
PREFIX = re.compile("(time|peakmem|track)_")


def methods(families: Sequence[Any] = FAMILIES + CONSUMERS) -> Iterator[tuple[Any, str]]:
    for family in families:
        for name, owner in inspect.getmembers(family, inspect.isclass):
            if owner.__module__ == family.__name__ and not name.startswith("_"):
                yield from ((owner, method) for method in dir(owner) if PREFIX.match(method))


def combinations(families: Sequence[Any] = FAMILIES + CONSUMERS) -> Iterator[tuple[Any, str, tuple[str, ...]]]:
    for owner, method in methods(families):
        for size in getattr(owner, "params", (None,)):
            yield owner, method, () if size is None else (size,)


def identity(combination: tuple[Any, str, tuple[str, ...]]) -> str:
    owner, method, params = combination
    return f"{owner.__module__.partition('.')[2]}.{owner.__name__}.{method}({','.join(params)})"


def bound(owner: type, method: str, params: tuple[str, ...]) -> tuple[Any, Any]:
    instance = owner()
    if hasattr(instance, "setup"):
        try:
            instance.setup(*params)
        except NotImplementedError as error:
            pytest.skip(str(error))
    return instance, getattr(instance, method)


def test_a_run_can_afford_the_timed_combinations() -> None:
    timed = [method for _, method, _ in combinations(FAMILIES) if method.startswith("time_")]
    assert 85 <= len(timed) <= 105
    assert 50 <= len(list(combinations(CONSUMERS))) <= 65


@pytest.fixture
def undisturbed() -> Iterator[None]:
    """No other thread runs before this one waits: what is allocated is counted in all threads, and one that the runner
    of the tests has for its messages leaves a few bytes in the interpreter's free lists, or takes them."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    time.sleep(0)  # one that was promised its turn has it now
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("undisturbed")
@pytest.mark.parametrize("combination", list(combinations()), ids=identity)
def test_a_call_does_not_change_what_the_next_one_finds(combination: tuple[Any, str, tuple[str, ...]]) -> None:
    owner, method, params = combination
    instance, call = bound(owner, method, params)
    first = call(*params)
    after_one = content(instance)
    assert call(*params) == call(*params) == first
    assert content(instance) == after_one


def content(instance: Any) -> dict[str, object]:
    return {
        name: value.getvalue() if hasattr(value, "getvalue") else value
        for name, value in vars(instance).items()
        if not isinstance(value, (bytes, memoryview))
    }


def test_every_benchmark_says_what_it_shows_and_states_its_version() -> None:
    for owner, method in methods():
        assert owner.__doc__, owner
        assert getattr(owner, method).__doc__, (owner, method)
        assert isinstance(owner.version, str), owner


def test_parameters_are_named_sizes_in_order() -> None:
    order = list(sizes.SIZES)
    for owner, _ in methods():
        if hasattr(owner, "params"):
            assert owner.param_names == ("size",)
            places = [order.index(size) for size in owner.params]
            assert places == sorted(set(places))


def test_construction_from_bytes_and_getvalue_go_through_all_sizes() -> None:
    assert construct.FromBytes.params == getvalue.AfterConstruct.params == tuple(sizes.SIZES)


def test_data_has_the_size_that_its_name_says() -> None:
    units = {"B": 1, "KiB": 1024, "MiB": 1024**2}
    for name, size in sizes.SIZES.items():
        number, unit = re.fullmatch(r"(\d+)(\w+)", name).groups()  # type: ignore[union-attr]
        assert size == int(number) * units[unit] == len(sizes.blob(name))
        lines = sizes.lines(name)
        assert size - len(sizes.LINE) < len(lines) <= size
        assert lines.count(b"\n") * len(sizes.LINE) == len(lines)


def test_the_founding_workload_is_the_one_of_the_issue() -> None:
    word = b"word"
    line = (word * int(79 / len(word))) + b"\n"
    assert line * int((4 * 1048576) / len(line)) == readlines.FOUNDING_DATA
    assert readlines.Founding().time_list_of_lines() == 54471


def test_only_the_standard_library_is_imported() -> None:
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), feature_version=(3, 8))):
            if isinstance(node, ast.Import):
                roots = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert not node.level or node.module in ("sizes", "data"), path
                roots = set() if node.level else {str(node.module).partition(".")[0]}
            else:
                continue
            assert roots <= sys.stdlib_module_names, path


def test_importing_a_family_stays_cheap() -> None:
    """A worker imports one, tens of times a run: what is costly is imported where it is used."""
    costly = {"copy", "pickle", "tracemalloc", "random", "re", "typing"}
    for path in FOLDER.rglob("*.py"):
        top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import)]
        assert not {alias.name for node in top for alias in node.names} & costly, path
    for path in (FOLDER / "consumers").glob("*.py"):
        froms = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
        # `sizes`, which all import, imports typing.
        assert {node.module for node in froms if not node.level} <= {"io", "typing"}, path
        assert not any(isinstance(node, ast.Import) for node in ast.parse(path.read_text()).body), path


def test_an_interpreter_without_tracemalloc_skips_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tracemalloc", None)
    with pytest.raises(NotImplementedError, match="tracemalloc"):
        memory.AllocatedByConstruct().setup("4KiB")


def test_no_class_is_visible_in_two_families() -> None:
    """asv takes every class that a module can see: one imported from another family would be measured twice."""
    for family in FAMILIES + CONSUMERS:
        for name, owner in vars(family).items():
            if inspect.isclass(owner) and any(map(PREFIX.match, dir(owner))):
                assert owner.__module__ == family.__name__, name
