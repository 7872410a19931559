"""Run by an interpreter under test: one module of CPython's own tests; a line of JSON for what came of each test.

What it is started with: the module's name, such as ``test_io``, and the tests to run, as JSON; none: all. A line is
``[test]`` when a test begins, and ``[test, outcome, reason]`` when it ends: ``passed``, ``failed``, ``error`` or
``skipped``. The last line is ``[]``.

Standard library only; Python 3.8 and later.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import unittest
from collections.abc import Callable, Iterator
from typing import Any


class Told(unittest.TestResult):
    """Writes what came of each test."""

    def __init__(self, write: Callable[[list[str]], None]) -> None:
        super().__init__()
        self._write = write
        self._outcome: tuple[str, str] | None = None

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome = ("passed", "")
        self._write([test.id()])

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self._write([test.id(), *(self._outcome or ("passed", ""))])
        self._outcome = None

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._became(test, "error", err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._became(test, "failed", err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._became(test, "failed" if issubclass(err[0], test.failureException) else "error", err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._became(test, "skipped", reason)

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        pass

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._became(test, "failed", "passed, where a failure is expected")

    def _became(self, test: unittest.TestCase, outcome: str, reason: Any) -> None:
        text = reason if isinstance(reason, str) else f"{reason[0].__name__}: {reason[1]}"
        if self._outcome is None:  # of a class or module, such as its set-up
            self._write([test.id(), outcome, text])
        elif self._outcome[0] == "passed" or outcome in ("failed", "error"):
            self._outcome = (outcome, text)


def tests(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from tests(one)
        elif one is not None:
            yield one


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)

    def write(line: list[str]) -> None:
        replies.write(json.dumps(line) + "\n")
        replies.flush()

    name, chosen = "test." + sys.argv[1], set(json.loads(sys.argv[2]))
    try:
        support: Any = importlib.import_module("test.support")
        # As CPython's own runner does: no network, no gigabytes of disk and memory.
        support.use_resources = {}
        support.verbose = 0
        importlib.import_module(name)  # the loader would make a test of what it cannot import
        suite = unittest.defaultTestLoader.loadTestsFromName(name)
    except unittest.SkipTest as error:
        write([name, "skipped", str(error)])
    except ModuleNotFoundError as error:
        lacks = (error.name or "").partition(".")[0] == "test"
        write([name, "skipped" if lacks else "error", f"{type(error).__name__}: {error}"])
    except Exception as error:
        write([name, "error", f"{type(error).__name__}: {error}"])
    else:
        if chosen:
            suite = unittest.TestSuite([test for test in tests(suite) if test.id() in chosen])
        suite.run(Told(write))
    write([])
    os._exit(0)  # whatever threads a test has left
