"""Which commits a search is left with, and where it looks next: on graphs with merges, against the plain definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.builds.ancestry import Graph

GOOD = "good"


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to 14 commits; each has up to three parents among those before it and the good end."""
    names: list[str] = []
    parents: dict[str, list[str]] = {}
    for number in range(draw(st.integers(1, 14))):
        parents[f"c{number:02}"] = draw(
            st.lists(st.sampled_from([GOOD, *names]), min_size=1, max_size=min(3, 1 + len(names)), unique=True))
        names.append(f"c{number:02}")
    return Graph(GOOD, parents)


def older(graph: Graph, commit: str) -> set[str]:
    """The commit and its ancestors in the range, by walking."""
    found, waiting = set[str](), [commit]
    while waiting:
        one = waiting.pop()
        if one in graph.parents and one not in found:
            found.add(one)
            waiting += graph.parents[one]
    return found


@given(graphs(), st.data())
def test_candidates_and_parts_are_what_their_definition_says(graph: Graph, data: st.DataObject) -> None:
    bad = data.draw(st.sampled_from(graph.commits))
    goods = data.draw(st.lists(st.sampled_from([GOOD, "elsewhere", *graph.commits]), max_size=3))
    left = older(graph, bad) - {one for good in goods for one in older(graph, good)}
    assert set(graph.candidates(bad, goods)) == left
    assert list(graph.candidates(bad, goods)) == [commit for commit in graph.commits if commit in left]
    assert graph.parts(bad, goods) == {
        commit: min(len(older(graph, commit) & left), len(left - older(graph, commit))) for commit in left}


@given(graphs(), st.data())
def test_a_look_divides_the_candidates_into_what_good_and_what_bad_leaves(graph: Graph, data: st.DataObject) -> None:
    commit = data.draw(st.sampled_from(graph.commits))
    if_bad, if_good = graph.candidates(commit, ()), graph.candidates(graph.bad, (commit,))
    everything = set(graph.candidates(graph.bad, ()))
    if commit in everything:
        assert {*if_bad, *if_good} == everything
        assert len(if_bad) + len(if_good) == len(everything)
        assert graph.parts(graph.bad, ())[commit] == min(len(if_bad), len(if_good))


def test_in_a_line_the_best_commit_is_in_the_middle() -> None:
    line = Graph(GOOD, {f"c{n:04}": [f"c{n - 1:04}" if n else GOOD] for n in range(1000)})
    parts = line.parts(line.bad, [GOOD])
    assert max(parts.values()) == 500
    assert [commit for commit, part in parts.items() if part == 500] == ["c0499"]
    assert parts[line.bad] == 0


def test_no_range_is_no_graph() -> None:
    with pytest.raises(ValueError, match="without commits"):
        Graph(GOOD, {})
