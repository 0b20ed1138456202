# SPDX-License-Identifier: MIT
"""What a report says, before it has a look: metrics, intervals, warnings, metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from arcface_fair.errors import UserError
from arcface_fair.evaluation.all_pairs import AllPairs
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.groups import moved
from arcface_fair.evaluation.metrics import (
    DECIDING,
    METRICS,
    Metric,
    Protocol,
    explain_too_few,
    metrics_of,
    tpr_metric,
)
from arcface_fair.evaluation.resampling import Estimate, check_paired, resample
from arcface_fair.evaluation.verification import too_few


@dataclass(frozen=True)
class Model:
    """One model: its metrics by key, the comparisons behind them, metadata about the file.

    all_pairs: what `all_pairs` found, if it was asked.
    """

    name: str
    groups: Mapping[str, Comparisons]
    estimates: Mapping[str, Estimate]
    metadata: Mapping[str, str] = field(default_factory=dict)
    all_pairs: AllPairs | None = None


@dataclass(frozen=True)
class Report:
    """Everything a page or a file shows.

    differences: second model minus first, paired, if there are two. warnings: to read first.
    metadata: command, versions, data; figures: more pictures, (caption, PNG bytes).
    """

    title: str
    models: tuple[Model, ...]
    protocol: Protocol
    level: float
    resamples: int
    differences: Mapping[str, Estimate] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    figures: tuple[tuple[str, bytes], ...] = ()

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """What each of the models' metrics is, by key."""
        return metrics_of(self.groups, self.protocol)

    @property
    def groups(self) -> list[str]:
        """Names of the groups, in order."""
        return list(self.models[0].groups)


def build_report(
    judged: Mapping[str, Mapping[str, Comparisons]],
    protocol: Protocol,
    *,
    title: str = "Fairness report",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    metadata: Mapping[str, str] | None = None,
    model_facts: Mapping[str, Mapping[str, str]] | None = None,
    figures: tuple[tuple[str, bytes], ...] = (),
    on_resamples: Callable[[int], object] = lambda count: None,
) -> Report:
    """From every model's comparisons by group. Raises UserError unless all saw the same pairs."""
    if not judged:
        raise UserError("there is no model to report on; give at least one")
    first, *others = judged.values()
    for other in others:
        check_paired(first, other)
    drawn = {
        name: resample(groups, protocol, resamples=resamples, seed=seed, on_resamples=on_resamples)
        for name, groups in judged.items()
    }
    known = model_facts or {}
    models = tuple(
        Model(name, judged[name], drawn[name].estimates(level), known.get(name, {}))
        for name in judged
    )
    changes: dict[str, Estimate] = {}
    if len(models) == 2:
        old, new = drawn.values()
        changes = new.minus(old).changes(level)
    warnings = (*fall_in_words(models, changes, protocol), *notes(first, protocol))
    return Report(
        title, models, protocol, level, resamples, changes, warnings, metadata or {}, figures
    )


def notes(groups: Mapping[str, Comparisons], protocol: Protocol) -> list[str]:
    """What is odd about the data, and what it cannot resolve; one line per sentence."""
    names_of: dict[str, list[str]] = {}
    for name, group in groups.items():
        for sentence in (*group.notes, *_resolution(int((~group.same).sum()), protocol)):
            names_of.setdefault(sentence, []).append(name)
    sentences = [f"{', '.join(names)}: {sentence}." for sentence, names in names_of.items()]
    if len(groups) == 1:
        sentences.append(
            "There is one group: spreads between groups (STD, SER, ratios) are undefined."
        )
    everybody = sum(int((~group.same).sum()) for group in groups.values())
    if too_few(everybody, protocol.fmr):
        sentences.append(f"All groups together: {explain_too_few(everybody, protocol.fmr)}.")
    if any(group.people is None for group in groups.values()):
        sentences.append(
            "Who is in which pair is unknown: pairs count as independent, intervals are too narrow."
        )
    return sentences


def pair_notes(pairs: AllPairs) -> list[str]:
    """What is to be known about metrics over all pairs; one line per sentence."""
    names_of: dict[str, list[str]] = {}
    for scope in pairs.scopes:
        for rate in scope.rates:
            if rate.note:
                names_of.setdefault(f"FPR {rate.fpr:g}: {rate.note}", []).append(scope.name)
    sentences = [f"{', '.join(names)}, {sentence}." for sentence, names in names_of.items()]
    return [f"{note}." for note in pairs.notes] + sentences


def _resolution(impostors: int, protocol: Protocol) -> list[str]:
    sentences = []
    for fpr in protocol.fprs:
        deciding = int(impostors * fpr + 1e-9)
        if too_few(impostors, fpr):
            sentences.append(explain_too_few(impostors, fpr))
        elif deciding < DECIDING:
            sentences.append(
                f"{deciding} impostor pairs decide the threshold at FPR {fpr:g}, so that the TPR "
                "there is mostly luck"
            )
    return sentences


def fall_in_words(
    models: tuple[Model, ...], changes: Mapping[str, Estimate], protocol: Protocol
) -> list[str]:
    """How mean and worst group moved between two models, and whether groups were levelled down."""
    if not changes:
        return []
    old, new = models
    tprs = [tpr_metric(fpr, "mean ") for fpr in protocol.fprs]
    shown = [METRICS["mean accuracy"], METRICS["worst accuracy"]]
    shown += [metric for metric in tprs if changes[metric.key].known]
    moved = [_moved(metric.title, changes[metric.key]) for metric in shown]
    sentences = [f"{new.name} against {old.name}: {', '.join(moved)}."]
    spread = changes["STD n"].value
    if changes["mean accuracy"].value < 0 and not np.isnan(spread) and spread < 0:
        sentences.append(
            "The mean fell while the spread shrank: part of the smaller spread is that groups lost "
            "(levelling down). A smaller STD or SER is no improvement by itself."
        )
    elif changes["mean accuracy"].value < 0:
        sentences.append("The mean fell.")
    return sentences


def _moved(title: str, change: Estimate) -> str:
    text = f"{title} {moved(change.value)}"
    if abs(100 * change.value) < 0.005 or np.isnan(change.low):
        return text
    sure = change.low > 0 or change.high < 0
    return f"{text} [{100 * change.low:+.2f}, {100 * change.high:+.2f}]" + (
        "" if sure else " (the interval holds 0)"
    )


def best_and_worst(values: Mapping[str, float], metric: Metric) -> tuple[set[str], set[str]]:
    """Keys of the best and of the worst values of one metric; none where all are equal."""
    known = {key: value for key, value in values.items() if not np.isnan(value)}
    if metric.direction == 0 or len(set(known.values())) < 2:
        return set(), set()
    ends = max(known.values()), min(known.values())
    high, low = ({key for key, value in known.items() if value == end} for end in ends)
    return (high, low) if metric.direction > 0 else (low, high)
