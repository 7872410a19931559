"""What `make nights` expects, in which order it has things, how it goes on, and what it says. No night is had here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from runner import machine
from runner.errors import MachineError, UsageError
from runner.model import Commit, Verdict
from runner.storage.bisects import Asked, Finding, Stored
from runner.storage.nights import Confirmation, Night, Outcome, Shown, Step

sys.path.insert(0, str(Path(__file__).parents[1]))

from nights import commits, judging, kills, page, records, session, stages, watching
from nights.commits import NIGHTS, PLAN, Made
from nights.judging import SEARCHED, Had
from nights.records import Kill, Row, Searched, Study, Trial
from nights.stages import Part, Stage
from nights.watching import Said, Search

MADE = Made(folder=Path("source"), base="0" * 40, commits=[str(number) * 40 for number in range(1, 9)])
EXPECTED = commits.expected(MADE)
NAMES = watching.benchmarks()
COPIED, BROKEN, MENDED, DICT, SILENT, PLANTED = (EXPECTED[number] for number in (2, 3, 4, 5, 6, 7))
NOTHING = EXPECTED[-1]
MACHINE = {"cpu": "Some CPU", "cores": 2, "os": "Debian", "kernel": "6.1", "hypervisor": None, "fingerprint": "f"}


def night(expected: commits.Expected, *shown: Confirmation, **changes: Any) -> Night:
    commit = Commit(hash=expected.commit, date=1.7e9, subject=expected.subject, repository="source", branch="main",
                    position=1)
    facts: dict[str, Any] = {
        "id": f"night-{expected.subject}", "watch": "main", "configuration": "", "repository": "source",
        "branch": "main", "machine": "f", "created": 1.8e9, "ended": 1.8e9 + 200, "commit": commit, "margin": 0.01,
        "budget": 480.0, "outcome": Outcome(expected.state), "confirmations": shown, "events": ("e",) if shown else (),
        "steps": (Step(name="build", begun=1.8e9, ended=1.8e9 + 90, seconds=90.0),),
    }
    return Night(**(facts | changes))


def shown(good: str, bad: str, *names: str, direction: Any = "slower") -> Confirmation:
    lines = tuple(Shown(benchmark=name, ratio=1.1, low=1.05, high=1.15, p=1e-9) for name in names)
    return Confirmation(suite="s", kind="newest", direction=direction, good=good, bad=bad, benchmarks=names,
                        nomination={}, run="r", shown=lines)


def judged(
    expected: commits.Expected, one: Night, text: str = "", wall: float | None = 200.0, ahead: float = 0.0
) -> Row:
    return judging.row(Had(nights=[one], text=text, wall=wall, ahead=ahead), expected, MADE, NAMES)


def about(pattern: str) -> list[str]:
    return sorted(commits.names(pattern, NAMES))


def at(expected: commits.Expected, *names: str) -> Confirmation:
    return shown(expected.previous, expected.commit, *names)


# What is true


def test_the_suite_has_what_the_commits_slow() -> None:
    assert len(NAMES) == 20 and len(about("time_planted")) == 5
    slowed = [planned for planned in PLAN if planned.slower]
    assert len(slowed) == len(page.REGRESSIONS) == len(SEARCHED) == 3
    assert all(about(planned.slower) for planned in slowed)
    for benchmark, number in SEARCHED.items():
        assert about(f"{benchmark}$") and about(f"{benchmark}$")[0] in about(PLAN[number].slower)


def test_a_row_has_a_night_of_each_commit_and_the_next_compares_with_the_last_good_one() -> None:
    assert len(EXPECTED) == NIGHTS == len(stages.KINDS) == 10
    assert tuple(one.state for one in EXPECTED) == stages.KINDS
    assert (BROKEN.state, MENDED.previous) == ("broken", COPIED.commit)
    assert NOTHING.commit == EXPECTED[-2].commit and EXPECTED[0].previous == ""


def test_what_a_range_of_commits_slows_is_what_its_commits_do() -> None:
    assert MADE.slowed(MADE.base, MADE.commits[0], NAMES) == set()
    assert MADE.slowed(MADE.base, COPIED.commit, NAMES) == set(about("time_construct"))
    assert MADE.slowed(COPIED.commit, MADE.commits[3], NAMES) == set(), "not what lies before the range"
    assert MADE.slowed(MENDED.commit, DICT.commit, NAMES) == set(NAMES), "who knows what uses a dict"
    for good, bad in ((COPIED.commit, COPIED.commit), (DICT.commit, COPIED.commit), ("x", DICT.commit)):
        with pytest.raises(ValueError, match=r"no commit|not in"):
            MADE.slowed(good, bad, NAMES)


# Judging


def test_a_night_that_finds_what_is_there_is_right() -> None:
    row = judged(COPIED, night(COPIED, at(COPIED, *about("time_construct"))))
    assert row.wrong == () and list(row.slower) == about("time_construct") and (row.building, row.wall) == (90.0, 200.0)
    for quiet in (EXPECTED[0], EXPECTED[1], MENDED, SILENT):
        assert judged(quiet, night(quiet)).wrong == ()
    assert judged(BROKEN, night(BROKEN), f"main: 123 ({BROKEN.subject}) does not build\n").wrong == ()
    assert judged(NOTHING, night(NOTHING, steps=()), "main: nothing new since 888\n").wrong == ()


WRONG = [
    (PLANTED, night(PLANTED), ["work.time_planted_json was missed"]),
    (PLANTED, night(PLANTED, at(PLANTED, *about("time_planted")[1:])), [f"{about('time_planted')[0]} was missed"]),
    (PLANTED, night(PLANTED, shown(DICT.commit, PLANTED.commit, *about("time_planted"))), ["not named at its commit"]),
    (COPIED, night(COPIED, at(COPIED, *about("time_construct"), "work.time_other_sort")),
     [f"time_other_sort did not become slower after {'1' * 9} up to {'2' * 9}"]),
    (SILENT, night(SILENT, replace(at(SILENT, "work.time_other_sort"), direction="faster")),
     ["time_other_sort did not become faster"]),
    (SILENT, night(SILENT, outcome=Outcome.BROKEN), ["it is broken, not done"]),
    (SILENT, night(SILENT, ended=None), ["it is unfinished, not done"]),
    (SILENT, night(SILENT, problems=("the disk\nlog",)), ["problem: the disk"]),
    (SILENT, night(SILENT, steps=(Step(name="publish", begun=0.0, ended=1.0, problem="full"),)), ["publish: full"]),
    (DICT, night(DICT, at(DICT, *about("time_dict")), events=()), ["became no event"]),
    (SILENT, night(SILENT, replace(at(SILENT, "work.time_other_sort"), shown=None, passed="it is gone")),
     ["could not be measured again: it is gone"]),
]


@pytest.mark.parametrize(("expected", "one", "said"), WRONG, ids=[said[0][:30] for _, _, said in WRONG])
def test_a_night_that_does_otherwise_is_told(expected: commits.Expected, one: Night, said: Sequence[str]) -> None:
    text = " ".join(judged(expected, one).wrong)
    assert all(word in text for word in said), text


def test_what_a_night_says_must_fit_what_it_is() -> None:
    unsaid = ("it does not say that the commit does not build",)
    assert judged(BROKEN, night(BROKEN), "main: all is well\n").wrong == unsaid
    assert judged(BROKEN, night(BROKEN), "").wrong == (), "a night that ended while nobody looked has said nothing"
    assert judged(NOTHING, night(NOTHING), "report: x\n").wrong == ("it is not silent",)


def test_what_a_commit_may_touch_is_no_mistake_on_a_later_night() -> None:
    late = shown(MENDED.commit, SILENT.commit, "work.time_other_format")
    assert judged(SILENT, night(SILENT, late)).wrong == ()


def test_a_night_has_its_budget_building_included() -> None:
    assert judged(SILENT, night(SILENT), wall=481.0).wrong == ("it took 481 s of 480",)
    assert judged(SILENT, night(SILENT), wall=400.0, ahead=100.0).wrong == ("it took 500 s of 480",)
    gone_on = judged(SILENT, night(SILENT), wall=None)
    assert (gone_on.wall, gone_on.whole) == (90.0, False), "what its steps took"


def test_a_night_that_failed_first_is_told() -> None:
    failed = night(SILENT, outcome=Outcome.FAILED, problems=("full\nlog",))
    row = judging.row(Had(nights=[failed, night(SILENT)], text="", wall=None, ahead=0.0), SILENT, MADE, NAMES)
    assert row.wrong == ("it failed first: full",) and len(row.nights) == 2


def found(*hashes: str, reason: str = "") -> Search:
    described = tuple(Commit(hash=one, date=1.0, subject="", repository="r", branch="", position=1) for one in hashes)
    asked = Asked(good="base", bad="all", repository="r", suite="s", pattern=None, configuration="", margin=0.01,
                  budget=60.0, scope="auto", memory_limit=None, values="compare")
    finding = Finding(benchmark="work.x", verdict=Verdict.SLOWER, commits=described, count=len(hashes), reason=reason)
    return Search(stored=Stored(id="i", created=1.0, asked=asked, good="g", bad="b", findings=(finding,)),
                  said=Said(code=1, text="", seconds=50.0), whole=True)


def test_a_search_is_right_if_it_ends_at_its_commit() -> None:
    right = judging.searched("time_dict_get", found(DICT.commit), MADE)
    assert (right.wrong, right.found) == ((), (DICT.subject,))
    assert judging.searched("time_dict_get", found(SILENT.commit), MADE).wrong == (f"it is {DICT.subject!r}",)
    ranged = judging.searched("time_dict_get", found(DICT.commit, SILENT.commit, reason="undecided"), MADE)
    assert ranged.wrong == ("undecided", f"it is {DICT.subject!r}")


# The order, and going on


def row(expected: commits.Expected, **changes: Any) -> Row:
    changed = [at(expected, *about(expected.slower))] if expected.slower else []
    return replace(judged(expected, night(expected, *changed)), **changes)


ROWS = tuple(replace(row(one), nights=(f"night-{number}",)) for number, one in enumerate(EXPECTED))
SEARCHES = tuple(Searched(benchmark=name, found=(PLAN[number].subject,), duels=5, wall=80.0, whole=True, wrong=())
                 for name, number in SEARCHED.items())
TRIAL = Trial(seed=1, seconds=60.0, kills=(Kill(seconds=1.0, step="build"), Kill(seconds=2.0, step="anchor")), wrong=())
NONE = Study(machine=MACHINE, digest="d", budget=480.0, built={})
WHOLE = replace(NONE, trials=(TRIAL,), repeats=(ROWS,), searches=SEARCHES)


def test_stages_come_in_their_order_and_those_that_were_had_do_not_come_again() -> None:
    first = stages.lacking(NONE, repeats=2, kills=20)
    assert first[0] == Stage(part=Part.KILLS, number=20) and len(first) == 1 + 2 * NIGHTS + 3
    assert [stage.part for stage in first[1:14]] == [Part.NIGHTS] * NIGHTS + [Part.SEARCHES] * 3
    partly = replace(NONE, trials=(TRIAL,), repeats=(ROWS[:4],))
    left = stages.lacking(partly, repeats=1, kills=2)
    assert left[0] == Stage(part=Part.NIGHTS, number=4) and len(left) == 6 + 3
    assert stages.lacking(partly, repeats=1, kills=3)[0].number == 1
    assert stages.lacking(WHOLE, repeats=1, kills=2) == []
    assert [one.repeat for one in stages.lacking(WHOLE, repeats=2, kills=2)] == [1] * NIGHTS
    assert stages.lacking(NONE, repeats=2, kills=20, parts=[Part.KILLS]) == first[:1]


def test_what_a_stage_takes_is_what_those_before_it_took() -> None:
    kill, done, broken = Stage(part=Part.KILLS, number=4), Stage(part=Part.NIGHTS), Stage(part=Part.NIGHTS, number=3)
    assert stages.seconds(kill, NONE) == 4 * stages.USUAL["kill"] and stages.seconds(kill, WHOLE) == 4 * 30.0
    assert stages.seconds(done, NONE) == stages.USUAL["done"] and stages.seconds(done, WHOLE) == 200.0
    assert stages.seconds(Stage(part=Part.SEARCHES), WHOLE) == 80.0
    assert (stages.room(done, NONE), stages.room(done, WHOLE)) == (480.0, 300.0), "its budget at most"
    assert stages.room(broken, NONE) == stages.ROOM * stages.USUAL["broken"]
    assert all(one.kind in stages.USUAL for one in stages.lacking(NONE, repeats=1, kills=1))


@dataclass
class Stub:
    """Stands for a state on disk: each command brings the next of some lists of nights."""

    states: list[list[Night]]
    log: Path = Path("said")

    def nights(self) -> list[Night]:
        return self.states[0]

    def night(self) -> Said:
        self.states.pop(0)
        return Said(code=0, text="said", seconds=100.0)


BEFORE = replace(night(DICT), id="before")
BEGUN = night(SILENT, ended=None)
FAILED = replace(night(SILENT, outcome=Outcome.FAILED), id="failed")
LOST = replace(FAILED, id="lost", commit=None)
HAD = [
    ([[BEFORE], [BEFORE, night(SILENT)]], 100.0, "said"),
    ([[BEFORE, night(SILENT)]], None, ""),
    ([[BEFORE, BEGUN], [BEFORE, night(SILENT)]], None, "said"),
    ([[BEFORE], [BEFORE, BEGUN], [BEFORE, night(SILENT)]], None, "saidsaid"),
    ([[BEFORE, FAILED], [BEFORE, FAILED, night(SILENT)]], None, "said"),
    ([[BEFORE, LOST], [BEFORE, LOST, night(SILENT)]], None, "said"),
]


@pytest.mark.parametrize(("states", "wall", "text"), HAD, ids=["had", "there", "begun", "problem", "failed", "lost"])
def test_a_night_is_had_gone_on_with_or_found(states: list[list[Night]], wall: float | None, text: str) -> None:
    had = session.have(Stub(states=list(states)), SILENT, ["before"], 0.0, print)  # type: ignore[arg-type]
    assert had.nights[-1] == night(SILENT) and (had.wall, had.text) == (wall, text)
    assert len(had.nights) == len(states[-1]) - 1


def test_a_night_that_comes_to_nothing_ends_the_sitting() -> None:
    for states in ([[BEFORE], [BEFORE, FAILED], [BEFORE]], [[BEFORE]] + [[BEFORE, BEGUN]] * session.ATTEMPTS):
        stub = Stub(states=list(states))
        with pytest.raises(MachineError, match="came to nothing"):
            session.have(stub, SILENT, ["before"], 0.0, print)  # type: ignore[arg-type]


def test_nights_on_disk_must_be_those_that_are_stored() -> None:
    assert session.own([BEFORE], ["before"], SILENT) == []
    with pytest.raises(UsageError, match="some are gone"):
        session.own([], ["before"], SILENT)
    with pytest.raises(UsageError, match=r"not those that are stored \(night-"):
        session.own([BEFORE, night(PLANTED)], ["before"], SILENT)


def settings(folder: Path, **changes: Any) -> session.Settings:
    given = session.Settings(data=folder / "nights.json", folder=folder / "states", seconds=0.0, repeats=1, kills=2,
                             budget=480.0, duel=60.0)
    return replace(given, **changes)


def test_what_is_stored_must_be_of_these_commits_and_this_machine(tmp_path: Path) -> None:
    here, now = machine.describe(), session.digest(480.0, 60.0)
    assert now != session.digest(481.0, 60.0) and len(commits.digest()) == 8
    study = Study(machine=here, digest=now, budget=480.0, built={}, repeats=(ROWS,), trials=(TRIAL,),
                  searches=SEARCHES)
    records.write(tmp_path / "nights.json", study)
    assert session.Session(settings(tmp_path), print).run(), "all of it is there"
    records.write(tmp_path / "nights.json", replace(study, digest="other"))
    with pytest.raises(UsageError, match="other commits"):
        session.Session(settings(tmp_path), print)
    records.write(tmp_path / "nights.json", replace(study, machine={**here, "kernel": "0.1"}))
    with pytest.raises(UsageError, match="another machine or kernel"):
        session.Session(settings(tmp_path), print)


def test_a_sitting_without_time_begins_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    assert not session.Session(settings(tmp_path, parts=[Part.KILLS]), said.append).run()
    assert "time is used up before 2 kills" in said[-1] and not (tmp_path / "nights.json").exists()


def test_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert records.read(tmp_path / "none.json") is None
    records.write(tmp_path / "study.json", replace(WHOLE, built={"a": 1.0}))
    assert records.read(tmp_path / "study.json") == replace(WHOLE, built={"a": 1.0})
    (tmp_path / "study.json").write_text("{}")
    with pytest.raises(UsageError, match="is not a study of nights"):
        records.read(tmp_path / "study.json")


def test_where_a_killed_night_was() -> None:
    step = Step(name="anchor", begun=1.0)
    assert kills.under_way([BEFORE], 1, 0.0) == "before the night was on record"
    assert kills.under_way([BEFORE, replace(BEGUN, steps=(step,))], 1, 0.5) == "anchor"
    assert kills.under_way([BEFORE, replace(BEGUN, steps=(step,))], 1, 2.0) == "before it went on"
    assert kills.under_way([BEFORE, BEGUN], 1, 2e9) == "between two steps"
    assert kills.under_way([BEFORE, night(SILENT)], 1, 0.0) is None, "a kill after its end is none of the night's"


def test_what_a_night_waits_for_is_no_moment_of_it() -> None:
    assert kills.waits("going on with night x\nwaiting for another Lockstep run on this machine to end (pid 1)\n")
    assert not kills.waits("waiting for another Lockstep run on this machine to end (pid 1)\nbuild: x\n")
    assert not kills.waits("")


# The page


def test_the_page_says_what_is_missing() -> None:
    text = page.render(None, repeats=2, kills=20)
    assert text.endswith("Nothing was measured yet.\n") and "undoes copy-on-write" in text
    text = page.render(replace(NONE, repeats=(ROWS[:3],)), repeats=2, kills=20)
    assert "So far all is right." in text and "All is right." not in text
    assert "**This is a part.** Lacking of what is asked for: 17 nights, 3 searches, 20 kills." in text
    assert "**Repeat 1**, 3 of 10 nights so far" in text and text.count("None yet.") == 2
    assert ("| Copy what BytesIO is made from | done | 1 | 2: `time_construct_large`, `time_construct_small` | 200 s "
            "| 90 s | 8 min 00 s | yes |") in text


def test_the_page_of_all_that_was_asked_for() -> None:
    text = page.render(WHOLE, repeats=1, kills=2)
    assert "\nAll is right.\n" in text and "This is a part" not in text and "**no**" not in text
    assert "2 of 2 kills, in 1 night of a small project. What was under way: anchor (1), build (1)." in text
    assert "10 nights in 33 minutes" in text and "2027-01-15" in text
    assert page.wrong(WHOLE) == []


def test_the_page_says_what_is_wrong_and_what_was_built_before_or_interrupted() -> None:
    bad = replace(WHOLE, trials=(replace(TRIAL, wrong=("the history: 1 | 2",)),), repeats=(
        (*ROWS[:1], replace(ROWS[1], wrong=("a was missed",), whole=False, ahead=77.0)),))
    text = page.render(bad, repeats=1, kills=2)
    assert "Not all is right:" in text and "- repeat 1, Say nothing in bytesio.c: a was missed" in text
    assert "**no**: a was missed |" in text and "| 200 s* | +77 s |" in text
    assert "it was interrupted, or waited" in text and "Not all ended as the night that was left alone" in text
    assert all(line.count("|") - line.count("\\|") in (0, 3, 6, 9) for line in text.splitlines())
    assert page.wrong(bad) == ["repeat 1, Say nothing in bytesio.c: a was missed", "killed night 1: the history: 1 | 2"]


def test_the_page_in_the_repository_is_one_of_this_program() -> None:
    text = (Path(__file__).parents[2] / "docs/nights.md").read_text()
    assert text.startswith(page.render(None, repeats=2, kills=20).removesuffix("\nNothing was measured yet.\n"))
