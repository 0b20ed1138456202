# SPDX-License-Identifier: MIT
"""What subsets consist of, what partitions follow, and how the record is made up: numbers, plots.

INV-REG, figures 7 and 1a. S subsets of a stage, G values of an attribute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arcface_fair.data.groups import Attribute
from arcface_fair.figures.run import PartitionedRun, Stage
from arcface_fair.optional import COLOURS, pyplot
from arcface_fair.plugin.partition import agreement, chance_agreement


def cross_table(subset: Attribute, attribute: Attribute) -> np.ndarray:
    """Identities by subset and value, int64 [S, G]; those with either unknown are left out."""
    known = (subset.codes >= 0) & (attribute.codes >= 0)
    width = len(attribute.names)
    cells = subset.codes[known] * width + attribute.codes[known]
    return np.bincount(cells, minlength=len(subset.names) * width).reshape(-1, width)


def follows(stage: Stage, attributes: dict[str, Attribute]) -> dict[str, dict[str, float]]:
    """How much of every attribute a partition says, the most telling first.

    nmi and best_match_accuracy as in `agreement`; chance: the NMI below which nothing is shown.
    """
    measures = {}
    for name, attribute in attributes.items():
        nmi, match = agreement(stage.subset.codes, attribute.codes)
        chance = chance_agreement(stage.subset.codes, attribute.codes)
        measures[name] = {"nmi": nmi, "best_match_accuracy": match, "chance": chance}
    return dict(sorted(measures.items(), key=lambda item: -np.nan_to_num(item[1]["nmi"])))


def shares(attribute: Attribute, images: np.ndarray | None = None) -> dict[str, float]:
    """Share of every value, 0..1, among the identities whose value is known.

    images: int [C], counts each identity that often (its images) in place of once.
    """
    known = attribute.codes >= 0
    weights = None if images is None else images[known]
    counts = np.bincount(attribute.codes[known], weights, minlength=len(attribute.names))
    total = max(float(counts.sum()), 1.0)
    return {name: float(count) / total for name, count in zip(attribute.names, counts, strict=True)}


def summarise(run: PartitionedRun) -> dict[str, Any]:
    """Everything the figures of composition show, for JSON."""
    images = np.bincount(run.dataset.identities, minlength=run.num_classes)
    return {
        "identities": run.num_classes,
        "images": int(images.sum()),
        "identities_with_one_image": int((images == 1).sum()),
        "shares": {
            name: {"identities": shares(value), "images": shares(value, images)}
            for name, value in run.attributes.items()
        },
        "stages": {str(stage.number): _summary(run, stage) for stage in run.stages},
    }


def _summary(run: PartitionedRun, stage: Stage) -> dict[str, Any]:
    earlier = [other for other in run.stages if other.number < stage.number]
    return {
        "sizes": dict(zip(stage.subset.names, stage.sizes, strict=True)),
        "mean_confidence": float(stage.confidence[stage.subset.codes >= 0].mean()),
        "earlier_stages": {
            str(other.number): agreement(stage.subset.codes, other.subset.codes)._asdict()
            for other in earlier
        },
        "attributes": follows(stage, run.attributes),
        "composition": {
            name: _named(cross_table(stage.subset, value), stage.subset, value)
            for name, value in run.groups.items()
        },
    }


def _named(table: np.ndarray, subset: Attribute, value: Attribute) -> dict[str, dict[str, int]]:
    return {
        name: dict(zip(value.names, row, strict=True))
        for name, row in zip(subset.names, table.tolist(), strict=True)
    }


_MOST_VALUES = 12  # an attribute with more is a blur of colours
_MOST_ATTRIBUTES = 12
# Subsets wear other colours than groups, so that a is not taken for the first group.
SUBSET_COLOURS = ("#333333", "#D55E00", "#BBBBBB", "#F0E442")


def colours(count: int, of: tuple[str, ...] = COLOURS) -> list[Any]:
    """One colour per value."""
    if count <= len(of):
        return list(of[:count])
    return [pyplot().get_cmap("tab20")(position % 20) for position in range(count)]


def draw_composition(run: PartitionedRun, path: Path) -> Path | None:
    """Every subset's make-up by group beside that of all identities, and every group's subsets.

    One column per stage, two rows per column of the group table. Without groups the earlier stages
    are laid beside the newest one; None, and no file, where there is no earlier one.
    """
    plt = pyplot()
    shown = {n: a for n, a in run.groups.items() if len(a.names) <= _MOST_VALUES}
    shown = shown or {run.group_name: run.group}
    stages = run.stages if run.grouped else run.stages[:-1]
    if not stages:
        return None
    across, down = len(stages), 2 * len(shown)
    figure, grid = plt.subplots(
        down, across, figsize=(1.4 + 3.1 * across, 2.3 * down), layout="constrained", squeeze=False
    )
    for position, (name, attribute) in enumerate(shown.items()):
        for column, stage in enumerate(stages):
            _subsets_by_group(grid[2 * position, column], stage, attribute)
            _groups_by_subset(grid[2 * position + 1, column], stage, attribute)
        grid[2 * position, 0].set_ylabel(f"made of, by {name}")
        grid[2 * position + 1, 0].set_ylabel("goes to subset")
        for axes, title in ((grid[2 * position, -1], name), (grid[2 * position + 1, -1], "subset")):
            handles, labels = axes.get_legend_handles_labels()
            axes.legend(
                handles, labels, title=title, loc="center left", bbox_to_anchor=(1.02, 0.5),
                frameon=False,
            )  # fmt: skip
    for column, stage in enumerate(stages):
        grid[0, column].set_title(f"stage {stage.number}")
    return _save(figure, path)


def _subsets_by_group(axes: Any, stage: Stage, attribute: Attribute) -> None:
    table = cross_table(stage.subset, attribute)
    rows = np.vstack([table.sum(0), table])
    labels = ["all", *stage.subset.names]
    _stack(axes, rows, labels, attribute.names, colours(len(attribute.names)))
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle=":")


def _groups_by_subset(axes: Any, stage: Stage, attribute: Attribute) -> None:
    table = cross_table(stage.subset, attribute).T
    names = stage.subset.names
    _stack(axes, table, attribute.names, names, colours(len(names), SUBSET_COLOURS))


def _stack(axes: Any, rows: np.ndarray, labels: Any, parts: Any, palette: Any) -> None:
    """Bars of 100 %, one per row of counts [bars, parts], with the row's count above."""
    counts = rows.sum(1)
    heights = 100 * rows / np.maximum(counts, 1)[:, None]
    bottom = np.zeros(len(rows))
    for part, name in enumerate(parts):
        axes.bar(range(len(rows)), heights[:, part], 0.75, bottom, color=palette[part], label=name)
        bottom += heights[:, part]
    for position, count in enumerate(counts):
        axes.text(position, 101, f"{count}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(rows)), labels)
    axes.set_ylim(0, 112)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    axes.spines[["top", "right"]].set_visible(False)


def draw_follows(run: PartitionedRun, path: Path) -> Path | None:
    """How much every partition says about the known attributes, with the level of chance.

    None, and no file, where no attribute is known.
    """
    if not run.attributes:
        return None
    plt = pyplot()
    measures = [follows(stage, run.attributes) for stage in run.stages]
    best = {name: max(np.nan_to_num(f[name]["nmi"]) for f in measures) for name in run.attributes}
    names = sorted(best, key=lambda name: -best[name])[:_MOST_ATTRIBUTES]
    figure, axes = plt.subplots(figsize=(7.0, 1.4 + 0.42 * len(names)), layout="constrained")
    width = 0.8 / len(run.stages)
    for position, (stage, one) in enumerate(zip(run.stages, measures, strict=True)):
        at = np.arange(len(names)) + (position - (len(run.stages) - 1) / 2) * width
        colour = COLOURS[position % len(COLOURS)]
        label = f"stage {stage.number}"
        axes.barh(at, [one[n]["nmi"] for n in names], width * 0.9, color=colour, label=label)
        chance = [one[n]["chance"] for n in names]
        axes.vlines(chance, at - width / 2, at + width / 2, color="black", linewidth=1.2)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("NMI of partition and attribute (black: 95 % of shuffled partitions are below)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(run.stages), frameon=False)
    return _save(figure, path)


def draw_shares(run: PartitionedRun, path: Path) -> Path | None:
    """The record's make-up by attribute, in identities; None where no attribute is known."""
    shown = {n: a for n, a in run.attributes.items() if len(a.names) <= _MOST_VALUES}
    if not shown:
        return None
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8.0, 0.9 + 0.34 * len(shown)), layout="constrained")
    for row, attribute in enumerate(shown.values()):
        _share_bar(axes, row, attribute)
    axes.set_yticks(range(len(shown)), shown)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"share of the {run.num_classes} identities, %")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return _save(figure, path)


def _share_bar(axes: Any, row: int, attribute: Attribute) -> None:
    left = 0.0
    ordered = sorted(shares(attribute).items(), key=lambda item: -item[1])
    # One hue that fades from the largest value to the smallest: the order is the message.
    for position, (name, share) in enumerate(ordered):
        tone = 0.85 - 0.65 * position / max(len(ordered) - 1, 1)
        axes.barh(row, 100 * share, 0.8, left, color=pyplot().get_cmap("Blues")(tone),
                  edgecolor="white", linewidth=0.8)  # fmt: skip
        if 100 * share > 1.15 * len(name) + 1:
            axes.text(left + 50 * share, row, name, ha="center", va="center", fontsize=7,
                      color="white" if tone > 0.5 else "black")  # fmt: skip
        left += 100 * share


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=130)
    pyplot().close(figure)
    return path
