# SPDX-License-Identifier: MIT
"""What the subsets consist of and where the groups went (INV-REG, figures 7 and 1a), as numbers.

S subsets of a stage, G values of an attribute.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from arcface_fair.data.groups import Attribute
from arcface_fair.figures.run import PartitionedRun, Stage
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
    found = {}
    for name, attribute in attributes.items():
        nmi, match = agreement(stage.subset.codes, attribute.codes)
        chance = chance_agreement(stage.subset.codes, attribute.codes)
        found[name] = {"nmi": nmi, "best_match_accuracy": match, "chance": chance}
    return dict(sorted(found.items(), key=lambda item: -np.nan_to_num(item[1]["nmi"])))


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
