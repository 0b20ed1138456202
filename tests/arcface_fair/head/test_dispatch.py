# SPDX-License-Identifier: MIT
"""Both kernels equal a plain float64 softmax, for every margin, penalty, sample and world size."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arcface_fair.errors import UserError
from arcface_fair.head import ArcFace, PartialFC, dispatch
from tests.arcface_fair.head.full_softmax import (
    MARGINS,
    Batch,
    assert_same,
    full_step,
    head_step,
    joined,
    make_batch,
)
from tests.ranks import run_ranks

PENALTIES = ("none", "irmv1", "rex")
KINDS = ("all classes", "sampled", "few labelled", "sampled, few labelled")
WORLDS = (1, 2, 3)
KERNELS = ("dense", "chunked")
DTYPES = (torch.float64, torch.float32)
AXES: tuple[tuple[Any, ...], ...] = (tuple(MARGINS), PENALTIES, KINDS, WORLDS, KERNELS, DTYPES)


@cache
def pairwise(axes: tuple[tuple[Any, ...], ...]) -> list[tuple[Any, ...]]:
    """Few combinations in which every pair of two axes' values occurs; greedy, always the same."""
    pairs = list(itertools.combinations(range(len(axes)), 2))
    missing = {(i, j, a, b) for i, j in pairs for a in axes[i] for b in axes[j]}
    everything = list(itertools.product(*axes))
    chosen = []
    while missing:
        best = max(
            everything, key=lambda case: sum((i, j, case[i], case[j]) in missing for i, j in pairs)
        )
        chosen.append(best)
        missing -= {(i, j, best[i], best[j]) for i, j in pairs}
    return chosen


def batch_of(kind: str, seed: int) -> Batch:
    # Labels below 8 of 23 leave the last of three shards without any label of the batch.
    few = 7 if "few" in kind else None
    return make_batch(seed, labelled=few, sampled="sampled" in kind)


def check(cases: list[tuple[Any, ...]], world: int) -> None:
    mine = [case for case in cases if case[3] == world]
    tasks = [
        (batch_of(kind, seed).to(dtype), margin, penalty, kernel)
        for seed, (margin, penalty, kind, _, kernel, dtype) in enumerate(mine)
    ]
    answers = run_ranks(world, run_all, tasks)
    for number, case in enumerate(mine):
        margin, penalty, *_, dtype = case
        try:
            wanted = full_step(tasks[number][0].to(torch.float64), margin, penalty)
            assert_same(joined([answer[number] for answer in answers]), wanted, dtype)
        except AssertionError as error:
            raise AssertionError(f"{case}: {error}") from error


def run_all(tasks: list[tuple[Batch, str, str, str]]) -> list[dict[str, Tensor]]:
    return [head_step(*task) for task in tasks]


@pytest.mark.parametrize("world", WORLDS)
def test_every_pair_of_choices_equals_the_full_softmax(world: int) -> None:
    check(pairwise(AXES), world)


@pytest.mark.slow
@pytest.mark.parametrize("world", WORLDS)
def test_every_combination_equals_the_full_softmax(world: int) -> None:
    check(list(itertools.product(*AXES)), world)


class Ranking(nn.Module):
    """A margin that looks across columns."""

    needs_all_columns = True

    def forward(self, cosines: Tensor, labels: Tensor) -> Tensor:
        return 8.0 * (cosines - cosines.amax(1, keepdim=True))


def kernel_used(head: PartialFC, monkeypatch: pytest.MonkeyPatch) -> str:
    used: list[str] = []
    for name in ("dense", "chunked"):

        def noted(*args: Any, _name: str = name, **kwargs: Any) -> Any:
            used.append(_name)
            zero = torch.zeros(1)
            return zero, zero, zero

        monkeypatch.setattr(dispatch, f"{name}_statistics", noted)
    head.statistics(torch.ones(64, 4), torch.zeros(64))
    return used[0]


@pytest.mark.parametrize(("classes", "wanted"), [(500, "dense"), (5000, "chunked")])
def test_auto_is_chunked_where_dense_would_pass_the_budget(
    classes: int, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = PartialFC(ArcFace(), 4, classes, memory_budget_mib=1)
    assert kernel_used(head, monkeypatch) == wanted


def test_auto_is_dense_for_a_margin_that_needs_all_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    head = PartialFC(Ranking(), 4, 5000, memory_budget_mib=1)
    assert kernel_used(head, monkeypatch) == "dense"


def test_a_kernel_that_cannot_be_is_said() -> None:
    with pytest.raises(UserError, match="kernel is 'fast', expected one of auto, dense, chunked"):
        PartialFC(ArcFace(), 4, 5, kernel="fast")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="memory_budget_mib is 0, expected at least 1"):
        PartialFC(ArcFace(), 4, 5, memory_budget_mib=0)
    with pytest.raises(UserError, match="margin Ranking needs all columns at once"):
        PartialFC(Ranking(), 4, 5, kernel="chunked")
