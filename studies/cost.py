# SPDX-License-Identifier: MIT
"""What runs will cost: as measured before, else from the parts that a run is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from studies.folder import Record
from studies.plan import Run, Settings

# CPU seconds on one core of a plain server (measured, 8 epochs of 2560 drawn faces).
PLAIN_S = 36.0  # ArcFace, with start and judging
STARTING_S = 6.0  # of that: imports, loading, drawing, which no record counts
STAGE_S = 2.0  # one learned partition
ERASING_S = {"attention": 30.0, "rolled": 30.0}
CONTRAST_S = 11.0
ADVERSARIAL_S = 80.0


def expected_s(settings: Settings, measured: Mapping[str, float]) -> float:
    """CPU seconds of one run. measured: seconds by settings' digest."""
    if settings.digest in measured:
        return measured[settings.digest]
    config = settings.config
    seconds = PLAIN_S
    invreg, gabn = config.get("invreg") or {}, config.get("gabn") or {}
    plugins = config.get("plugins") or []
    if "gabn_plugin" in plugins:
        seconds += ERASING_S.get(str(gabn.get("erasing", "attention")), 0.0)
        seconds += ADVERSARIAL_S if gabn.get("adversarial", True) else 0.0
    if "contrast_plugin" in plugins:
        seconds += CONTRAST_S
    if "invreg_plugin" in plugins:
        seconds += STAGE_S * len(invreg.get("stages", (1, 11, 17)))
    return seconds


def measured_s(records: Iterable[Record]) -> dict[str, float]:
    """Mean CPU seconds of finished runs by settings' digest."""
    found: dict[str, list[float]] = {}
    for record in records:
        cost = record["cost"]
        seconds = cost["train_cpu_s"] + cost["measure_cpu_s"] + STARTING_S
        found.setdefault(record["settings"], []).append(seconds)
    return {digest: float(np.mean(values)) for digest, values in found.items()}


def total_s(runs: Iterable[Run], measured: Mapping[str, float]) -> float:
    """CPU seconds of all ``runs``, each key counted once."""
    by_key = {run.key: run for run in runs}
    return sum(expected_s(run.settings, measured) for run in by_key.values())
