# SPDX-License-Identifier: MIT
"""Both kernels equal a plain float64 softmax, for every margin, penalty, sample and world size."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.head import ArcFace, PartialFC, kernels
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
        margin, penalty, kind, _, _, dtype = case
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
