# SPDX-License-Identifier: MIT
"""Cost: as measured where it was, from a run's parts where it was not."""

import pytest

from studies.plan import resolve
from studies.progress import PLAIN_S, STARTING_S, expected_s, measured_s, total_s
from studies.suites import all_rows
from tests.benchmark_stubs import PLAIN, record, run_of


def seconds(name, measured=None):
    return expected_s(resolve(all_rows()[name]), measured or {})


def test_methods_cost_more_than_arcface():
    assert seconds("arcface") == PLAIN_S
    assert seconds("arcface") < seconds("table9_p1") < seconds("invreg")
    assert (
        seconds("arcface") < seconds("contrast") < seconds("table4_sfre") < seconds("table4_gabn")
    )


def test_what_was_measured_counts():
    run = run_of("arcface", 10)
    measured = measured_s([record(run, PLAIN), record(run_of("arcface", 11), PLAIN)])
    assert measured == {run.settings.digest: 30 + STARTING_S}
    assert seconds("arcface", measured) == 30 + STARTING_S


def test_shared_runs_are_counted_once():
    runs = [run_of("ceiling", 10), run_of("weak_ceiling", 10), run_of("none_arcface", 10)]
    assert total_s(runs, {}) == pytest.approx(PLAIN_S)
