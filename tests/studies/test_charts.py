# SPDX-License-Identifier: MIT
"""Charts: every run config has its mean, its interval and a dot per seed, in its own colour."""

import dataclasses

import pytest
from matplotlib.colors import same_color

from arcface_fair.optional import pyplot
from studies import charts
from studies.charts import CEILING, CONTROL, METHOD, differences
from studies.results import gather
from studies.summary import summarise
from tests.benchmark_stubs import a_benchmark


@pytest.fixture
def lines(tmp_path):
    return summarise(gather(a_benchmark(tmp_path / "b")), "main", "test").lines[:-1]


@pytest.fixture
def panels(monkeypatch):
    """A function that draws and returns the panels instead of their SVG."""
    monkeypatch.setattr(charts, "svg", lambda chart: chart)

    def draw(*arguments):
        chart = differences(*arguments)
        pyplot().close(chart)
        return chart.axes

    return draw


def test_every_compared_line_has_means_intervals_and_a_dot_per_seed(lines, panels):
    compared = [line for line in lines if line.against_baseline]
    for axes, metric in zip(panels(lines, "ceiling"), ("mean", "worst"), strict=True):
        marks = [mark for mark in axes.lines if len(set(mark.get_ydata())) == 1]
        assert len(marks) == 3 * len(compared)
        for at, line in enumerate(compared):
            difference = line.against_baseline[metric]
            seeds, interval, mean = marks[3 * at : 3 * at + 3]
            assert list(seeds.get_xdata()) == [100 * v for v in difference.by_seed.values()]
            assert list(interval.get_xdata()) == [100 * difference.low, 100 * difference.high]
            assert list(mean.get_xdata()) == [100 * difference.value]
            assert list(mean.get_ydata()) == [at]


def test_methods_controls_and_ceiling_have_colours_of_their_own(lines, panels):
    first, _ = panels(lines, "ceiling")
    labels = {label.get_text(): label.get_color() for label in first.get_yticklabels()}
    compared = [line for line in lines if line.against_baseline]
    expected = [
        CEILING if line.name == "ceiling" else CONTROL if line.control_of else METHOD
        for line in compared
    ]
    assert len(set(expected)) == 3
    for line, colour in zip(compared, expected, strict=True):
        assert same_color(labels[line.title], colour)


def test_a_single_seed_has_no_interval(tmp_path, panels):
    lines = summarise(gather(a_benchmark(tmp_path / "one", (10,))), "main", "test").lines
    first, _ = panels(lines)
    assert all(len(mark.get_xdata()) == 1 for mark in first.lines if mark.get_marker() == "o")


def test_nothing_compared_is_no_chart(lines):
    assert differences(lines[:1]) == ""


def test_long_and_odd_titles_fit(lines):
    odd = dataclasses.replace(lines[1], title="<" + "w" * 80)
    chart = differences([odd])
    assert chart.startswith("<svg")
    assert "&lt;www" in chart
    assert "w" * 40 not in chart
