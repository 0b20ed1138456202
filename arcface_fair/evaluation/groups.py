# SPDX-License-Identifier: MIT
"""What groups get from one model, as one table: the metrics of `measure` of a single FPR.

STD and SER say how unequal groups are, not how good the model is: a model that has collapsed is
equally bad for all. Every view of a table therefore carries the mean, the worst group and the
TPR beside them, and says in words when a mean falls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from numpy.typing import NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.metrics import (
    METRICS,
    OF_ACCURACIES,
    Metric,
    Protocol,
    measure,
    tpr_metric,
)
from arcface_fair.evaluation.text import text_table, two_digits
from arcface_fair.evaluation.verification import ten_fold_of_distances
from arcface_fair.files import finite_or_none

Pairs = tuple[NDArray, NDArray]
"""Distances [P] (0..4) and bool [P]: true where a pair shows one person."""

FPR = 1e-2


@dataclass(frozen=True)
class FairnessTable:
    """The metrics of one model by key. Rates are 0..1, NaN where the data cannot resolve them.

    pairs: their number by group. fold_std: of a group's accuracy over the ten folds.
    """

    values: Mapping[str, float]
    pairs: Mapping[str, int]
    fold_std: Mapping[str, float]
    fpr: float = FPR

    def __getitem__(self, key: str) -> float:
        return self.values[key]

    @property
    def groups(self) -> list[str]:
        """Names of the groups, in order."""
        return list(self.pairs)

    def by_group(self, metric: Metric) -> dict[str, float]:
        """One metric of every group."""
        return {group: self[metric.of(group).key] for group in self.groups}

    def summary(self) -> dict[str, float]:
        """What is said of all groups, by the names of curves and of ``best.json``."""
        return {
            "mean": self["mean accuracy"],
            "worst": self["worst accuracy"],
            "std_ddof0": self["STD n"],
            "std_ddof1": self["STD n-1"],
            "ser": self["SER"],
            "mean_tpr": self[tpr_metric(self.fpr, "mean ").key],
        }

    def as_dict(self) -> dict[str, object]:
        """Plain values for JSON; what is undefined or infinite becomes None."""
        accuracies = self.by_group(METRICS["accuracy"])
        tprs = self.by_group(tpr_metric(self.fpr))
        groups = {
            group: {
                "pairs": self.pairs[group],
                "accuracy": accuracies[group],
                "fold_std": self.fold_std[group],
                "tpr": finite_or_none(tprs[group]),
            }
            for group in self.groups
        }
        worst = min(accuracies, key=accuracies.__getitem__)  # the first of equals
        return {
            "groups": groups,
            **{name: finite_or_none(value) for name, value in self.summary().items()},
            "worst": {"group": worst, "accuracy": accuracies[worst]},
            "fpr": self.fpr,
        }

    def as_text(self, name: str = "model") -> str:
        """The table for a terminal, in percent."""
        return side_by_side({name: self})


def group_table(groups: Mapping[str, Pairs], fpr: float = FPR) -> FairnessTable:
    """Judges each group's pairs by themselves: its own folds, its own thresholds.

    Raises UserError, naming the group, where its pairs cannot be judged.
    """
    comparisons = {}
    for name, pairs in groups.items():
        try:
            comparisons[name] = Comparisons(*pairs)
        except UserError as error:
            raise UserError(f"group {name!r}: {error}") from error
    values = measure(comparisons, Protocol((fpr,)))
    return FairnessTable(
        {key: float(value[0]) for key, value in values.items()},
        {name: len(group.same) for name, group in comparisons.items()},
        {name: ten_fold_of_distances(*pairs).std for name, pairs in groups.items()},
        fpr,
    )


def side_by_side(models: Mapping[str, FairnessTable]) -> str:
    """Models as rows, groups as columns, in percent; differences if there are exactly two.

    Raises UserError if the models were not judged on the same groups.
    """
    tables = list(models.values())
    names = tables[0].groups
    if any(table.groups != names for table in tables):
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
    of_groups = (METRICS["accuracy"].of(group) for group in table.groups)
    return _shown(table, [*of_groups, *(METRICS[key] for key in OF_ACCURACIES)])


def _tpr_cells(table: FairnessTable) -> list[float]:
    of_groups = (tpr_metric(table.fpr).of(group) for group in table.groups)
    return _shown(table, [*of_groups, tpr_metric(table.fpr, "mean ")])


def _shown(table: FairnessTable, metrics: Iterable[Metric]) -> list[float]:
    return [metric.shown(table[metric.key]) for metric in metrics]


def _block(head: list[str], rows: Mapping[str, list[float]]) -> str:
    lines = [[name, *map(two_digits, cells)] for name, cells in rows.items()]
    if len(rows) == 2:
        first, second = rows.values()
        changes = (b - a for a, b in zip(first, second, strict=True))
        lines.append(["difference", *(two_digits(change, signed=True) for change in changes)])
    return text_table(head, lines)


def _in_words(first: tuple[str, FairnessTable], second: tuple[str, FairnessTable]) -> str:
    (old_name, old), (new_name, new) = first, second
    mean, worst, spread = (new[key] - old[key] for key in OF_ACCURACIES[:3])
    text = (
        f"{new_name} against {old_name}: mean accuracy {moved(mean)}, worst group {moved(worst)}."
    )
    if mean < 0 and spread < 0:
        text += " The spread is smaller and the mean fell: groups were levelled down in part."
    return text


def moved(share: float) -> str:
    """How far a share went between two models, in points and in words."""
    if abs(100 * share) < 0.005:
        return "is unchanged"
    return f"{'rose' if share > 0 else 'fell'} by {abs(100 * share):.2f} points"
