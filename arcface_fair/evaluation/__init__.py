# SPDX-License-Identifier: MIT
"""Measures how well identities are distinguished, group by group. NumPy only, except `embed`.

Scores that are given need nothing else: `Comparisons` holds them, `measure` gives the figures,
`resample` the intervals, `all_pairs` judges embeddings. Pages and files are in `report`.
"""

from arcface_fair.evaluation.all_pairs import AllPairs, all_pairs, intersections
from arcface_fair.evaluation.comparisons import Comparisons, people_of_pairs
from arcface_fair.evaluation.groups import FairnessTable, group_table, side_by_side
from arcface_fair.evaluation.metrics import Protocol, measure
from arcface_fair.evaluation.resampling import Estimate, Resampled, resample
from arcface_fair.evaluation.templates import (
    Identification,
    Templates,
    compare_templates,
    identify,
    pool_templates,
    tpr_nearest,
)
from arcface_fair.evaluation.verification import (
    TenFold,
    squared_distances,
    ten_fold,
    ten_fold_of_distances,
    tpr_at_fpr,
)

__all__ = [
    "AllPairs",
    "Comparisons",
    "Estimate",
    "FairnessTable",
    "Identification",
    "Protocol",
    "Resampled",
    "Templates",
    "TenFold",
    "all_pairs",
    "compare_templates",
    "group_table",
    "identify",
    "intersections",
    "measure",
    "people_of_pairs",
    "pool_templates",
    "resample",
    "side_by_side",
    "squared_distances",
    "ten_fold",
    "ten_fold_of_distances",
    "tpr_at_fpr",
    "tpr_nearest",
]
