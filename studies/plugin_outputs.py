# SPDX-License-Identifier: MIT
"""What plugins left in a run's folder, as a few figures: partitions, contrast's map, its gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arcface_fair.figures import open_run
from arcface_fair.figures.composition import follows
from arcface_fair.plugin.partition import NOT_ASSIGNED, stage_files

ALWAYS = ("race", "gender", "context")  # columns reported whatever they say
TELLING = 3  # and so many more that a partition follows


def traces(output: Path) -> dict[str, Any]:
    """``partitions``: by stage, sizes and what they follow; ``contrast``: gap, gate, subsets.

    Empty where no plugin wrote anything. Rates are 0..1, gaps are differences of cosines.
    """
    found: dict[str, Any] = {}
    if stage_files(output):
        found["partitions"] = _partitions(output)
    if (output / "contrast" / "contrast.npz").is_file():
        found["contrast"] = _contrast(output / "contrast" / "contrast.npz")
    return found


def _partitions(output: Path) -> dict[str, Any]:
    run = open_run(output)
    stages = {}
    for stage in run.stages:
        told = follows(stage, run.attributes)
        others = [name for name in told if name not in ALWAYS][:TELLING]
        names = [name for name in ALWAYS if name in told] + others
        stages[str(stage.number)] = {
            "sizes": stage.sizes,
            "follows": {name: finite(told[name]) for name in names},
        }
    return stages


def _contrast(path: Path) -> dict[str, Any]:
    """Scalars and short vectors of the file; of ``subset`` the sizes, of ``mask`` the area."""
    found: dict[str, Any] = {}
    with np.load(path) as file:
        for name in file.files:
            value = file[name]
            if name == "mask":
                found["area"] = float(value.mean())
            elif name == "subset":
                known = value[value != NOT_ASSIGNED]
                found["sizes"] = np.bincount(known).tolist() if known.size else []
            elif value.dtype.kind in "biuf" and value.size <= 8:
                found[name] = value.tolist()
    return finite(found)


def finite(found: dict[str, Any]) -> dict[str, Any]:
    """The same figures with None for what is no number (JSON has no NaN)."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in found.items()
    }
