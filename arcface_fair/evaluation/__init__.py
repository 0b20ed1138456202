# SPDX-License-Identifier: MIT
"""Measures how well people are told apart, group by group. NumPy only, except `embed`."""

from arcface_fair.evaluation.bootstrap import Interval, paired_bootstrap
from arcface_fair.evaluation.groups import FairnessTable, GroupRow, group_table, side_by_side
from arcface_fair.evaluation.pixels import raw_pixels
from arcface_fair.evaluation.verification import (
    TenFold,
    ValidationRate,
    squared_distances,
    ten_fold,
    ten_fold_of_distances,
    tpr_at_fpr,
    validation_rate,
)

__all__ = [
    "FairnessTable",
    "GroupRow",
    "Interval",
    "TenFold",
    "ValidationRate",
    "group_table",
    "paired_bootstrap",
    "raw_pixels",
    "side_by_side",
    "squared_distances",
    "ten_fold",
    "ten_fold_of_distances",
    "tpr_at_fpr",
    "validation_rate",
]
