# SPDX-License-Identifier: MIT
"""What groups get from one model: accuracies, their mean, worst and spread, in one table.

STD and SER say how unequal groups are, not how good the model is: a model that has collapsed is
equally bad for all. Every view of a table therefore carries the mean, the worst group and the
TPR beside them, and says in words when a mean falls.

- STD: standard deviation of the groups' accuracies. The papers differ: ddof 0 in the tables of
  INV-REG (ICCV 2023), ddof 1 in those of GABN (arXiv 2304.02284); both are given.
- SER, the skewed error ratio: max_g (1 - accuracy_g) / min_g (1 - accuracy_g) (GABN, section 4.1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.metrics import accuracy_summary
from arcface_fair.evaluation.text import text_table
from arcface_fair.evaluation.verification import (
    Floats,
    ten_fold_of_distances,
    tpr_at_fpr,
)
from arcface_fair.files import finite_or_none

Pairs = tuple[NDArray, NDArray]
"""Distances [P] (0..4) and bool [P]: true where a pair shows one person."""

FPR = 1e-2


@dataclass(frozen=True)
class GroupRow:
    """One group: 10-fold accuracy 0..1 with its spread over folds, and TPR at the table's FPR.

    tpr is NaN where the group has too few impostor pairs to resolve the FPR. correct is bool [P].
    """

    name: str
    pairs: int
    accuracy: float
    fold_std: float
    tpr: float
    correct: NDArray[np.bool_]


@dataclass(frozen=True)
class FairnessTable:
    """The rows of one model and what follows from them. Rates are 0..1."""

    rows: tuple[GroupRow, ...]
    fpr: float = FPR

    @cached_property
    def accuracies(self) -> Floats:
        """Accuracy per group, [G]."""
        return np.array([row.accuracy for row in self.rows])

    @cached_property
    def _summary(self) -> dict[str, float]:
        return {key: float(value) for key, value in accuracy_summary(self.accuracies).items()}

    @property
    def mean(self) -> float:
        """Unweighted mean of the groups' accuracies."""
        return self._summary["mean accuracy"]

    @property
    def mean_tpr(self) -> float:
        """Unweighted mean of the groups' TPRs; NaN if one has none."""
        return float(np.mean([row.tpr for row in self.rows]))

    @property
    def worst(self) -> GroupRow:
        """The group with the lowest accuracy, the first of equals."""
        return self.rows[int(self.accuracies.argmin())]

    @property
    def std_ddof0(self) -> float:
        """Population standard deviation of the accuracies; NaN for a single group."""
        return self._summary["STD n"]

    @property
    def std_ddof1(self) -> float:
        """Sample standard deviation of the accuracies; NaN for a single group."""
        return self._summary["STD n-1"]

    @property
    def ser(self) -> float:
        """Largest over smallest error; infinite if some groups have none, NaN for one group."""
        return self._summary["SER"]

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; what is undefined or infinite becomes None."""
        groups = {
            row.name: {
                "pairs": row.pairs,
                "accuracy": row.accuracy,
                "fold_std": row.fold_std,
                "tpr": finite_or_none(row.tpr),
            }
            for row in self.rows
        }
        return {
            "groups": groups,
            "mean": self.mean,
            "worst": {"group": self.worst.name, "accuracy": self.worst.accuracy},
            "std_ddof0": finite_or_none(self.std_ddof0),
            "std_ddof1": finite_or_none(self.std_ddof1),
            "ser": finite_or_none(self.ser),
            "mean_tpr": finite_or_none(self.mean_tpr),
            "fpr": self.fpr,
        }

    def as_text(self, name: str = "model") -> str:
        """The table for a terminal, in percent."""
        return side_by_side({name: self})


def group_table(groups: Mapping[str, Pairs], fpr: float = FPR) -> FairnessTable:
    """Judges each group's pairs by themselves: its own folds, its own thresholds.

    Raises UserError, naming the group, where its pairs cannot be judged.
    """
    if not groups:
        raise UserError("there is no group to judge; give at least one verification set")
    rows = []
    for name, (distances, same) in groups.items():
        try:
            result = ten_fold_of_distances(distances, same)
            tpr = tpr_at_fpr(distances, same, fpr)
        except UserError as error:
            raise UserError(f"group {name!r}: {error}") from error
        rows.append(
            GroupRow(name, len(distances), result.accuracy, result.std, tpr, result.correct)
        )
    return FairnessTable(tuple(rows), fpr)


def side_by_side(models: Mapping[str, FairnessTable]) -> str:
    """Models as rows, groups as columns, in percent; differences if there are exactly two.

    Raises UserError if the models were not judged on the same groups.
    """
    tables = list(models.values())
    names = [row.name for row in tables[0].rows]
    if any([row.name for row in table.rows] != names for table in tables):
        raise UserError(
            "the models were judged on different groups; evaluate all on the same sets to compare"
        )
    accuracy = {model: _accuracy_cells(table) for model, table in models.items()}
    tpr = {model: _tpr_cells(table) for model, table in models.items()}
    heads = (
        ["accuracy, %", *names, "mean", "worst", "STD n", "STD n-1", "SER"],
        [f"TPR, % at FPR {tables[0].fpr:g}", *names, "mean"],
    )
    blocks = [_block(heads[0], accuracy), _block(heads[1], tpr)]
    if len(tables) == 2:
        blocks.append(_in_words(*models.items()))
    return "\n\n".join(blocks)


def _accuracy_cells(table: FairnessTable) -> list[float]:
    shares = [*table.accuracies, table.mean, table.worst.accuracy, table.std_ddof0, table.std_ddof1]
    return [100 * share for share in shares] + [table.ser]


def _tpr_cells(table: FairnessTable) -> list[float]:
    return [100 * share for share in (*(row.tpr for row in table.rows), table.mean_tpr)]


def _block(head: list[str], rows: Mapping[str, list[float]]) -> str:
    lines = [[name, *(_cell(v) for v in cells)] for name, cells in rows.items()]
    if len(rows) == 2:
        first, second = rows.values()
        changes = (b - a for a, b in zip(first, second, strict=True))
        lines.append(["difference", *(_cell(change, signed=True) for change in changes)])
    return text_table(head, lines)


def _cell(value: float, signed: bool = False) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def _in_words(first: tuple[str, FairnessTable], second: tuple[str, FairnessTable]) -> str:
    (old_name, old), (new_name, new) = first, second
    change = 100 * (new.mean - old.mean)
    worst = 100 * (new.worst.accuracy - old.worst.accuracy)
    text = (
        f"{new_name} against {old_name}: mean accuracy {_moved(change)}, "
        f"worst group {_moved(worst)}."
    )
    if change < 0 and new.std_ddof0 < old.std_ddof0:
        text += " The spread is smaller and the mean fell: groups were levelled down in part."
    return text


def _moved(points: float) -> str:
    if abs(points) < 0.005:
        return "is unchanged"
    return f"{'rose' if points > 0 else 'fell'} by {abs(points):.2f} points"
