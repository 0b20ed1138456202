# SPDX-License-Identifier: MIT
"""Methods section: commits, versions, people, pairs and cost of what is shown."""

from studies.methods import method_values, settings_by_row, warnings
from studies.results import gather
from tests.benchmark_stubs import MADE, a_benchmark, put


def test_commits_versions_and_cost_are_named(tmp_path):
    values = method_values(gather(a_benchmark(tmp_path / "b")))
    assert values["runs"] == "40, 0.3 CPU hours"
    assert any(name.startswith("commit c0ffee") for name in values)
    assert "torch" in values


def test_settings_of_every_run_config_that_ran_are_there(tmp_path):
    settings = settings_by_row(gather(a_benchmark(tmp_path / "b")))
    assert "rolled" in settings["contrast_rolled"]
    assert any("in world confounded:control" in text for text in settings.values())


def test_clean_results_need_no_warning(tmp_path):
    assert warnings(gather(a_benchmark(tmp_path / "b"))) == []


def test_commits_that_train_alike_are_said_to(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    put(folder, "invreg_truth", (10,), made={**MADE, "commit": "f" * 40})
    (warning,) = warnings(gather(folder))
    assert warning == "The runs were made by 2 commits, with the same training code, named below."
