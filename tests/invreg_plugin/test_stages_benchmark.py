# SPDX-License-Identifier: MIT
"""The figures of the stages' benchmark are means of what was measured, and its words say them."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = ROOT / "benchmarks" / "partition_stages.py"
    spec = importlib.util.spec_from_file_location("partition_stages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_restarts_that_find_the_same_are_fully_alike(benchmark):
    a, b = np.arange(40) % 2, np.arange(40) // 2 % 2
    assert benchmark.pairwise([a, 1 - a, a]) == pytest.approx(1)
    assert benchmark.pairwise([a, a, b]) == pytest.approx(1 / 3)


def test_means_are_over_the_worlds_and_named_in_words(benchmark):
    def run(seed, between, within, nmi):
        stages = [{"context": {"nmi": nmi}, "race": {"nmi": nmi / 2}}] * 2
        return {
            "seed": seed,
            "sizes": [[1, 2], [2, 1]],
            "between_stages": {"1-2": between},
            "restarts_within_stage": [within, within],
            "attributes": stages,
        }

    runs = [run(0, 0.1, 0.6, 0.4), run(1, 0.3, 0.8, 0.2)]
    means = benchmark.averages(runs)
    assert means == {
        "between_stages": {"1-2": 0.2},
        "restarts_within_stage": [0.7, 0.7],
        "attributes": {"context": [0.3, 0.3], "race": [0.15, 0.15]},
    }
    words = benchmark.in_words("paper", {"runs": runs, "mean": means})
    assert "between stages        1-2 0.20" in words
    assert "restarts within stage 0.70, 0.70" in words
    assert "world 1: stages follow most context, context" in words


def test_the_readme_quotes_the_results_that_are_kept():
    results = json.loads((ROOT / "benchmarks" / "results" / "stages.json").read_text())
    readme = (ROOT / "invreg_plugin" / "README.md").read_text()
    for objective, found in results.items():
        means = found["mean"]
        rows = (
            means["between_stages"].values(),
            means["restarts_within_stage"],
            means["attributes"]["context"],
        )
        cells = [", ".join(f"{value:.2f}".lstrip("0") for value in row) for row in rows]
        assert f"| `{objective}` | {' | '.join(cells)} |" in readme
