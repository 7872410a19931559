"""What runs inside a measured interpreter, once, to list the benchmarks of pyperf scripts without measuring them.

Standard library and pyperf only, Python 3.8 and later, PyPy too. Each script runs in a process of its own, forked from
this one, several at a time: what it prints goes to the file ``NUMBER.printed``, what is found to ``NUMBER.found``, as
lines of JSON:

    {"benchmark": {"name": …, "unit": "second", "inner": 1, "timeout": null, "place": "bm.py:12", "doc": …}}
    {"ended": {"place": "bm.py:3", "error": "ValueError: …"}}   it raised, or called sys.exit with a code
    {"code": 0}                                                  the process has ended; negative: by a signal

The script runs as a worker of pyperf's that has to measure nothing: all that it does besides is done.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from importlib.machinery import SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HERE = os.path.dirname(os.path.abspath(__file__))
SAID = 300
"""Characters that are kept of what an exception says."""


def main(plan: str) -> None:
    """`plan` is a file of JSON: ``library``, the seconds that a script may take (``limit``), the folder for
    the results (``results``) and the ``scripts``, each with its file (``script``), ``options`` and ``path``."""
    # Before 3.11 this file's folder is on the path, and holds a pyperf.py that is not pyperf.
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != HERE]
    sys.dont_write_bytecode = True
    if sys.version_info < (3, 8):
        raise SystemExit("this is Python %d.%d, and benchmarks need 3.8 or later" % sys.version_info[:2])
    with open(plan, encoding="utf-8") as stream:
        asked = json.load(stream)
    loaded: Any = type(sys)("lockstep_pyperf_loaded")
    SourceFileLoader(loaded.__name__, os.path.join(HERE, "pyperf_loaded.py")).exec_module(loaded)
    loaded.prepare(asked["library"])
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting = list(enumerate(asked["scripts"]))
    running: dict[int, int] = {}
    while waiting or running:
        if waiting and len(running) < cpus:
            number, script = waiting.pop(0)
            pid = os.fork()
            if pid == 0:
                _child(loaded, asked, number, script)
            running[pid] = number
            continue
        pid, status = os.wait()
        if pid in running:
            try:
                os.killpg(pid, signal.SIGKILL)  # what it has started
            except OSError:
                pass
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            _tell(_found(asked, running.pop(pid)), code=code)


def _child(loaded: Any, asked: dict[str, Any], number: int, script: dict[str, Any]) -> None:
    """List one script's benchmarks, and end the process."""
    os.setsid()
    signal.alarm(asked["limit"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    printed = os.open(os.path.join(asked["results"], "%d.printed" % number), os.O_WRONLY | os.O_CREAT, 0o600)
    for descriptor in (1, 2):
        os.dup2(printed, descriptor)
    path = _found(asked, number)

    def serve(runner: Any, task: Any) -> None:
        loaded.check(runner.args)
        _tell(path, benchmark={
            "name": task.name, "unit": loaded.unit_of(task), "inner": task.inner_loops or 1,
            "timeout": runner.args.timeout, "place": _line(script["script"]),
            "doc": str(task.metadata.get("description") or ""),
        })

    code = 0
    try:
        loaded.add(script["path"])
        loaded.run(script["script"], script["options"], serve, SourceFileLoader)
    except SystemExit as error:
        if error.code not in (None, 0):
            _tell(path, ended={"place": "", "error": "it called sys.exit(%.100r)" % (error.code,)})
    except BaseException as error:
        said = " ".join(traceback.format_exception_only(type(error), error)[-1].split())
        _tell(path, ended={"place": _place(error, script["script"]), "error": said[:SAID]})
    try:
        exits = sys.modules.get("atexit")
        if exits is not None:
            exits._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:
        pass
    os._exit(code)


def _found(asked: dict[str, Any], number: int) -> str:
    return os.path.join(asked["results"], "%d.found" % number)


def _tell(path: str, **line: Any) -> None:
    with open(path, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def _line(script: str) -> str:
    """``bm.py:12``: the line of the script that asks for the benchmark; the script alone where another file does."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == script:
            return "%s:%d" % (os.path.basename(script), frame.f_lineno)
        frame = frame.f_back
    return os.path.basename(script)


def _place(error: BaseException, script: str) -> str:
    """The script's innermost line that had a part in the error; empty where none had."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
    if isinstance(error, SyntaxError) and error.filename == script:
        lines.append(error.lineno)
    return "%s:%s" % (os.path.basename(script), lines[-1]) if lines else ""


if __name__ == "__main__":
    main(sys.argv[1])
