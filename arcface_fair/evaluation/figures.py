# SPDX-License-Identifier: MIT
"""Draws per-group tables, so that a gap is seen before it is read. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.evaluation.groups import FairnessTable

# Distinguishable with any colour vision and in grey (Okabe and Ito's palette, reordered).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")


def draw_groups(models: Mapping[str, FairnessTable], path: Path, title: str) -> Path:
    """Bars of accuracy per group and model with binomial 95 % intervals, and the means as lines.

    Writes a PNG to ``path``. Raises UserError without matplotlib.
    """
    plt = pyplot()
    names = [row.name for row in next(iter(models.values())).rows]
    figure, axes = plt.subplots(figsize=(1.6 + 1.5 * len(names), 4.2), layout="constrained")
    width = 0.8 / len(models)
    for place, (model, table) in enumerate(models.items()):
        accuracy = 100 * table.accuracies
        pairs = np.array([row.pairs for row in table.rows])
        half = 196 * np.sqrt(table.accuracies * (1 - table.accuracies) / pairs)
        at = np.arange(len(names)) + (place - (len(models) - 1) / 2) * width
        colour = COLOURS[place % len(COLOURS)]
        axes.bar(at, accuracy, width * 0.92, yerr=half, color=colour, capsize=2, label=model)
        axes.axhline(100 * table.mean, color=colour, linewidth=1, linestyle="--", zorder=0)
    lowest = min(100 * table.worst.accuracy for table in models.values())
    axes.set_ylim(max(0.0, 10 * np.floor((lowest - 5) / 10)), 100)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("10-fold accuracy, % (dashed: mean)")
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=min(len(models), 3), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def pyplot() -> ModuleType:
    """matplotlib.pyplot without a window. Raises UserError where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise UserError(
            "figures need matplotlib, which is not installed; "
            'run: pip install "arcface-fair[report]"'
        ) from error
    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot
