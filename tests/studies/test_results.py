# SPDX-License-Identifier: MIT
"""Results: everything present goes into one file, and nothing that a file holds gets lost."""

import json

import pytest

from arcface_fair.errors import UserError
from studies.folder import Folder
from studies.results import (
    FIGURES,
    figures_of,
    gather,
    merge,
    read_results,
    write_results,
)
from tests.benchmark_stubs import PLAIN, a_benchmark, measured, put, record, run_of


@pytest.fixture
def folder(tmp_path):
    return a_benchmark(tmp_path / "benchmark")


def test_rows_hold_settings_controls_and_runs(folder):
    row = gather(folder).rows["contrast_rolled"]
    assert row["control_of"] == "contrast"
    assert row["decisive"]["config"]["contrast"]["control"] == "rolled"
    assert list(row["runs"]) == ["test"]
    assert list(row["runs"]["test"]) == ["10", "11", "12", "13", "14"]


def test_rows_that_share_runs_share_them_in_the_file(folder):
    results = gather(folder)
    assert results.rows["none_arcface"]["runs"] == results.rows["ceiling"]["runs"]


def test_figures_are_by_seed(folder):
    results = gather(folder)
    assert results.figure("arcface", "test", "worst") == pytest.approx(
        {seed: 0.65 + 0.001 * seed for seed in (10, 11, 12, 13, 14)}
    )
    assert set(FIGURES) <= set(results.figures("arcface", "test")[10])
    assert results.figures("arcface", "validation") == {}
    assert results.figures("nobody", "test") == {}


def test_file_says_what_the_folder_says(folder, tmp_path):
    results = gather(folder)
    write_results(results, tmp_path / "r.json")
    again = read_results(tmp_path / "r.json")
    assert list(again.rows) == list(results.rows)
    for seed, figures in results.figures("contrast", "test").items():
        assert again.figures("contrast", "test")[seed] == pytest.approx(figures, abs=1e-6)
    assert {"made", "protocol", "opened", "suites", "format"} <= set(again.content)
    assert len((tmp_path / "r.json").read_text().splitlines()) > len(results.runs)


def test_unknown_figures_come_back_as_nan():
    run = record(run_of("arcface", 10), PLAIN)
    run["measured"] = {**measured(PLAIN), "ser": None}
    assert figures_of(run)["ser"] != figures_of(run)["ser"]


def test_rows_of_another_folder_are_added(folder, tmp_path):
    other = Folder(tmp_path / "other")
    put(other, "table8_k3", (10, 11))
    put(other, "arcface", (15,))
    merged = merge(gather(folder), gather(other))
    assert sorted(merged.records("arcface", "test")) == [10, 11, 12, 13, 14, 15]
    assert sorted(merged.records("table8_k3", "test")) == [10, 11]
    assert sorted(merged.records("contrast", "test")) == [10, 11, 12, 13, 14]


def test_runs_of_other_settings_do_not_mix(folder):
    new, old = gather(folder), gather(folder)
    old.rows["arcface"] = {**old.rows["arcface"], "digest": "other", "runs": {"test": {"9": "k"}}}
    assert sorted(merge(new, old).records("arcface", "test")) == [10, 11, 12, 13, 14]


def test_what_a_file_holds_besides_is_kept(folder):
    new, old = gather(folder), gather(folder)
    old.content["bootstrap"] = {"test": {}}
    assert merge(new, old).content["bootstrap"] == {"test": {}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"format": 1}, r"is no results file of the benchmark; give one that --json wrote"),
        ({"rows": {}, "runs": {}, "suites": {}, "opened": {}, "format": 9},
         r"has format 9, this version reads 1; write it again"),
    ],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, content, said):
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=said):
        read_results(tmp_path / "x.json")


def test_unknown_suite_is_refused(folder):
    with pytest.raises(UserError, match=r"the results hold no suite 'best'; known: main, .*name"):
        gather(folder).suite("best")
