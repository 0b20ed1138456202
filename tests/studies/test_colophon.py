# SPDX-License-Identifier: MIT
"""Colophon: commits, versions, people, pairs and cost of what is shown."""

from studies.colophon import colophon, warnings
from studies.results import gather
from tests.benchmark_stubs import MADE, a_benchmark, put


def test_colophon_names_commit_versions_cost_and_protocol(tmp_path):
    text = colophon(gather(a_benchmark(tmp_path / "b")))
    for part in ("commit c0ffee", "40, 0.3 CPU hours", "torch", "80 unseen people per group",
                 "20,000 impostor pairs", "the three sets of people are disjoint"):  # fmt: skip
        assert part in text


def test_settings_of_every_row_that_ran_are_there(tmp_path):
    text = colophon(gather(a_benchmark(tmp_path / "b")))
    assert "contrast_rolled" in text
    assert "rolled" in text
    assert "in world confounded:control" in text


def test_clean_results_need_no_warning(tmp_path):
    assert warnings(gather(a_benchmark(tmp_path / "b"))) == []


def test_commits_that_train_alike_are_said_to(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    put(folder, "invreg_truth", (10,), made={**MADE, "commit": "f" * 40})
    (said,) = warnings(gather(folder))
    assert said == "The runs were made by 2 commits, with the same training code, named below."
