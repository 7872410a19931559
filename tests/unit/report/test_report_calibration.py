"""What is known of verdicts on this machine, in every format."""

from __future__ import annotations

import json as json_module
from dataclasses import replace

import report_samples

from runner.model import Verdict
from runner.report import as_html, as_json, markdown, text, words

KNOWN = {
    "date": "2025-01-01", "comparisons": 480, "false_changes": 0.008, "false_low": 0.002, "false_high": 0.02,
    "found_2": 0.97, "seconds_2": 4.4, "found_1": 0.93, "seconds_1": 11.2,
}
SENTENCE = "on this machine: false changes 0.8 % [0.2, 2.0], a 2 % change is found in 4 s, 1 % in 11 s"


def test_the_line_is_in_every_format_and_only_when_something_is_known() -> None:
    # One benchmark: the line does not depend on how many there are, and a page of all kinds takes a second.
    report = report_samples.report([report_samples.measured("work.time_it", Verdict.SAME, 1.0, 1e-6)])
    known = replace(report, calibration=KNOWN)
    assert words.calibration(KNOWN) == SENTENCE
    assert "is found in 0.4 s, 1 % in 11 s" in words.calibration({**KNOWN, "seconds_2": 0.4})
    for render in (text.render, as_html.render):
        assert SENTENCE in " ".join(render(known).split())
        assert "on this machine" not in render(report)
    assert SENTENCE in markdown.render(known).replace("\\", "")
    assert "on this machine" not in markdown.render(report)
    assert json_module.loads(as_json.render(known))["calibration"] == KNOWN
    assert "calibration" not in json_module.loads(as_json.render(report))


def test_scope_binary_tells_how_far_layouts_of_one_source_are_apart_where_that_is_known() -> None:
    binary = replace(report_samples.report(), scope="binary", calibration={**KNOWN, "layout_deviation": 0.007})
    # 1.96 · √2 · 0.7 % = 1.94 %
    assert words.scope(binary).endswith("two layouts of one source were seen to differ by up to 1.96 % (95 %).")
    assert "were seen to differ" not in words.scope(replace(binary, calibration=KNOWN))
    assert "were seen to differ" not in words.scope(replace(binary, scope="source"))
