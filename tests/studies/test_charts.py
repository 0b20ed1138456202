# SPDX-License-Identifier: MIT
"""Charts: every row has its mean, its interval and a dot per seed, inside the picture."""

import re

import pytest

from studies.charts import CEILING, CONTROL, differences
from studies.results import gather
from studies.summary import summarise
from tests.benchmark_stubs import a_benchmark


@pytest.fixture
def lines(tmp_path):
    return summarise(gather(a_benchmark(tmp_path / "b")), "main", "test").lines[:-1]


def test_every_compared_row_has_two_means_and_a_dot_per_seed(lines):
    chart = differences(lines, "ceiling")
    compared = len(lines) - 1  # all but the baseline
    assert chart.count('r="4"') == 2 * compared
    assert chart.count('r="2"') == 2 * 5 * compared
    assert chart.count("seed 12:") == 2 * compared


def test_everything_lies_inside_the_picture(lines):
    chart = differences(lines, "ceiling")
    width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', chart)[0])
    xs = [float(x) for x in re.findall(r'(?:cx|x1|x2)="([-\d.]+)"', chart)]
    ys = [float(y) for y in re.findall(r'(?:cy|y1|y2)="([-\d.]+)"', chart)]
    assert 0 <= min(xs) <= max(xs) <= width
    assert 0 <= min(ys) <= max(ys) <= height


def test_controls_and_ceiling_have_colours_of_their_own(lines):
    chart = differences(lines, "ceiling")
    assert CONTROL in chart
    assert CEILING in chart
    assert CEILING not in differences(lines)


def test_a_single_seed_has_no_bar(tmp_path):
    lines = summarise(gather(a_benchmark(tmp_path / "one", (10,))), "main", "test").lines
    assert 'stroke-width="2.4"' not in differences(lines)


def test_nothing_compared_is_no_picture(lines):
    assert differences(lines[:1]) == ""


def test_long_and_odd_titles_fit(lines):
    import dataclasses

    odd = dataclasses.replace(lines[1], title="<" + "w" * 80)
    assert "<text" in differences([odd])
    assert "&lt;www" in differences([odd])
    assert "w" * 40 not in differences([odd])
