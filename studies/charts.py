# SPDX-License-Identifier: MIT
"""One chart: differences of run configs to their baseline, a dot per seed, an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arcface_fair.optional import pyplot
from arcface_fair.report.charts import svg
from studies.statistics import Paired
from studies.summary import Line

PANELS = {"mean": "mean accuracy", "worst": "worst group"}
METHOD, CONTROL, CEILING = "#0072b2", "#d55e00", "#009e73"
LONGEST = 38  # letters of a label


def differences(lines: Sequence[Line], ceiling: str = "") -> str:
    """<svg> of mean and worst-group accuracy minus the baseline's, in points, line by line.

    Controls are orange, the ceiling green, everything else blue. Empty where nothing is paired.
    """
    shown = [line for line in lines if line.against_baseline]
    if not shown:
        return ""
    plt = pyplot()
    chart, panels = plt.subplots(
        1, len(PANELS), figsize=(8, 0.9 + 0.28 * len(shown)), sharey=True, layout="constrained"
    )
    colours = [_colour(line, ceiling) for line in shown]
    for axes, (metric, title) in zip(panels, PANELS.items(), strict=True):
        for at, (line, colour) in enumerate(zip(shown, colours, strict=True)):
            _mark(axes, line.against_baseline[metric], at, colour)
        axes.set_title(title, fontsize=9, loc="left", fontweight="bold")
        axes.set_xlabel("points", fontsize=8)
        axes.axvline(0, color="black", linewidth=0.8, zorder=0)
        axes.grid(axis="x", linewidth=0.4)
        axes.tick_params(labelsize=8, left=False)
        axes.spines[["top", "right", "left"]].set_visible(False)
    panels[0].set_yticks(range(len(shown)), [_short(line.title) for line in shown])
    panels[0].invert_yaxis()
    for label, colour in zip(panels[0].get_yticklabels(), colours, strict=True):
        label.set_color(colour)
    return svg(chart)


def _mark(axes: Any, difference: Paired, at: int, colour: str) -> None:
    """The mean as a large dot on its interval, and below it a small dot per seed."""
    seeds = [100 * value for value in difference.by_seed.values()]
    axes.plot(seeds, [at + 0.25] * len(seeds), "o", color=colour, markersize=2.5, alpha=0.55)
    if not math.isnan(difference.low):
        axes.plot([100 * difference.low, 100 * difference.high], [at, at], color=colour)
    axes.plot(100 * difference.value, at, "o", color=colour, markersize=5)


def _colour(line: Line, ceiling: str) -> str:
    if line.name == ceiling:
        return CEILING
    return CONTROL if line.control_of else METHOD


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3].rstrip()}..."
