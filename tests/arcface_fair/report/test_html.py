# SPDX-License-Identifier: MIT
"""Metrics as people read them, and no text that could become markup."""

import numpy as np
import pytest

from arcface_fair.evaluation.metrics import METRICS
from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.report.html import (
    cell,
    definitions,
    number,
    photograph,
    table,
    warnings_box,
)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("accuracy", 0.95678, "95.68"),
        ("fmr", 0.0001234, "0.012"),
        ("SER", 1.5, "1.50"),
        ("FMR max/min", np.inf, "\N{INFINITY}"),
        ("SER", np.nan, "-"),
    ],
)
def test_shares_are_percent_and_ratios_are_not(key, value, text):
    assert number(METRICS[key], value) == text


def test_differences_carry_a_sign():
    assert number(METRICS["mean accuracy"], -0.01, signed=True) == "-1.00"
    assert number(METRICS["mean accuracy"], 0.01, signed=True) == "+1.00"
    assert number(METRICS["FMR max/min"], -np.inf, signed=True) == "-\N{INFINITY}"


def test_a_cell_holds_the_interval_and_the_mark_in_words():
    text = cell(METRICS["accuracy"], Estimate(0.9, 0.88, 0.92), "worst")
    assert text == '<td class="worst" title="worst">90.00<small>[88.00, 92.00]</small></td>'
    assert "<small>" not in cell(METRICS["SER"], Estimate(2.0, np.nan, np.nan))
    assert "the data cannot say" in cell(METRICS["SER"], Estimate(np.nan, np.nan, np.nan))


def test_names_are_escaped_everywhere():
    evil = "<script>"
    for text in (
        table(evil, [evil], [(evil, [])]),
        definitions({evil: evil}),
        warnings_box([evil]),
    ):
        assert evil not in text
        assert "&lt;script&gt;" in text
    assert warnings_box([]) == ""


def test_a_picture_is_part_of_the_page():
    assert 'src="data:image/png;base64,iVBORw' in photograph(b"\x89PNG\r\n\x1a\n", 'a "map"')
    assert 'alt="a &quot;map&quot;"' in photograph(b"\x89PNG\r\n\x1a\n", 'a "map"')
    assert "data:image/jpeg" in photograph(b"\xff\xd8\xff", "a photograph")
