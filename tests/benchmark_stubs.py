# SPDX-License-Identifier: MIT
"""Finished runs that nobody trained: records with known figures, for tests of the benchmark."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from studies.folder import Folder, write_json
from studies.plan import FORMAT, PROTOCOL, Run, resolve
from studies.suites import all_rows

GROUPS = ("amber", "birch", "coral", "dune")
MADE = {
    "date": "2026-11-22T00:00:00+00:00", "commit": "c0ffee" * 6 + "abcd", "dirty": False,
    "versions": {"torch": "2"}, "machine": {"cores": 2},
}  # fmt: skip
PLAIN = (0.90, 0.65, 0.85, 0.76)  # accuracies of ArcFace at seed 0


def run_of(name: str, seed: int, split: str = "test") -> Run:
    """The run of a row."""
    return Run(resolve(all_rows()[name]), seed, split)


def measured(accuracies: tuple[float, ...] | np.ndarray) -> dict[str, Any]:
    """Figures of a run with these accuracies; a TPR is the accuracy less 0.4."""
    values = np.asarray(accuracies)
    tprs = values - 0.4
    groups = {
        name: {"accuracy": float(a), "tpr": float(t), "genuine": 1200, "impostor": 20000}
        for name, a, t in zip(GROUPS, values, tprs, strict=True)
    }
    return {
        "groups": groups, "mean": float(values.mean()), "worst": float(values.min()),
        "std_ddof0": float(values.std()), "std_ddof1": float(values.std(ddof=1)),
        "ser": float((1 - values).max() / (1 - values).min()), "mean_tpr": float(tprs.mean()),
        "worst_tpr": float(tprs.min()), "fpr": 0.01,
    }  # fmt: skip


def record(run: Run, accuracies: Any, **changes: Any) -> dict[str, Any]:
    """A finished run as `job` writes it."""
    return {
        "format": FORMAT, "key": run.key, "settings": run.settings.digest,
        "decisive": run.settings.decisive, "seed": run.seed, "split": run.split,
        "protocol": PROTOCOL, "measured": measured(accuracies), "training": {"loss": 1.0},
        "cost": {"train_wall_s": 30.0, "train_cpu_s": 28.0, "measure_wall_s": 2.0,
                 "measure_cpu_s": 2.0},
        "traces": {}, "diagnosis": {}, "drawn": {"faces": "f", "unseen": f"u{run.seed}"},
        "made": MADE, **changes,
    }  # fmt: skip


def put(
    folder: Folder, name: str, seeds: tuple[int, ...], gain: Any = 0.0, split: str = "test",
    noise: float = 0.0, **changes: Any,
) -> None:  # fmt: skip
    """Runs of a row: `PLAIN`, one thousandth more for every seed, plus ``gain``.

    noise: its size; it alternates in sign from seed to seed, so that intervals have a width.
    """
    for place, seed in enumerate(seeds):
        run = run_of(name, seed, split)
        accuracies = np.array(PLAIN) + 0.001 * seed + np.asarray(gain) + noise * (-1) ** place
        write_json(folder.run_file(run.key), record(run, accuracies, **changes))


def a_benchmark(path: Path, seeds: tuple[int, ...] = (10, 11, 12, 13, 14)) -> Folder:
    """ArcFace, its ceiling, contrast and its controls, INV-REG, CIFP that levels down."""
    folder = Folder(path)
    put(folder, "arcface", seeds)
    put(folder, "ceiling", seeds, (0.02, 0.15, 0.05, 0.10), noise=0.001)
    put(folder, "contrast", seeds, (0.01, 0.09, 0.03, 0.06), noise=0.002,
        traces={"contrast": {"gap_difference": 0.25, "acts": True, "gap": [0.1, 0.35]}},
        diagnosis={"map": {"auc": 0.9}})  # fmt: skip
    put(folder, "contrast_rolled", seeds, (-0.03, -0.02, -0.06, -0.05), noise=0.002)
    put(folder, "contrast_shuffled", seeds, (0.0, 0.02, 0.0, 0.01), noise=0.02)
    put(folder, "invreg", seeds, (0.0, 0.004, 0.0, 0.001), noise=0.004)
    put(folder, "invreg_random", seeds, (0.0, 0.014, 0.01, 0.011), noise=0.004)
    put(folder, "cifp", seeds, (-0.08, -0.01, -0.05, -0.03), noise=0.001)
    return folder


def stub_command(what: Mapping[str, str]) -> Any:
    """A command of `runner.make` whose processes do ``what`` by key: ok, fail, hang, nothing."""
    script = Path(__file__).with_name("benchmark_stub_process.py")

    def command(folder: Path, key: str) -> list[str]:
        return [sys.executable, str(script), str(folder), key, what.get(key, "ok")]

    return command
