from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import report_samples as samples

PAGE = Path(__file__).parents[3] / "docs" / "reading-a-report.md"


def test_the_example_of_a_renderer_works() -> None:
    [snippet] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(snippet, str(PAGE), "exec"), names)
    line = names["render"](samples.report())
    assert line.startswith("head is faster in 2 of 18") and "2,042x faster" not in line.split(";")[0]
    assert "\n" not in line


def test_every_module_that_the_page_names_exists() -> None:
    for name in set(re.findall(r"`(runner\.report\.\w+)`", PAGE.read_text(encoding="utf-8"))):
        importlib.import_module(name)
