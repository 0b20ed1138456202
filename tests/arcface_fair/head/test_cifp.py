# SPDX-License-Identifier: MIT
"""CIFP selects the pairs of the full matrix whatever the cut, and refuses what it cannot do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.head import CIFP, ArcFace, CosFace, PartialFC, shard_of
from arcface_fair.head.cifp import PairSearch
from tests.ranks import run_ranks


def selected(cosines: Tensor, labels: Tensor, block: int, scale: float) -> set[tuple[int, int]]:
    """(row, global class) of this shard's selected pairs."""
    here = shard_of(cosines.shape[1], dist.rank(), dist.world_size())
    own = labels - here.start
    own = torch.where((own >= 0) & (own < len(here)), own, -1)
    search = PairSearch(cosines[torch.arange(len(labels)), labels], own)
    for start in range(0, len(here), block):
        stop = min(start + block, len(here))
        search.see(scale * cosines[:, here.start + start : here.start + stop], start, scale)
    pairs = search.selected()
    return set(zip(pairs.rows.tolist(), (pairs.columns + here.start).tolist(), strict=True))


def by_formula(cosines: Tensor, labels: Tensor) -> set[tuple[int, int]]:
    """math on the whole matrix, with sorted lists."""
    rows, classes = cosines.shape
    own = torch.nn.functional.one_hot(labels, classes).bool()
    above = ~own & (cosines > cosines[own][:, None])
    rest = ~own & ~above
    if classes == 1:
        return set()
    wanted = -(-(rows * (classes - 1) - int(above.sum())) // (classes - 1))
    if wanted == 0:
        return set()
    threshold = sorted(cosines[rest].tolist(), reverse=True)[wanted - 1]
    return {tuple(pair) for pair in (rest & (cosines > threshold)).nonzero().tolist()}


@settings(max_examples=30, deadline=None)
@given(
    world=st.integers(1, 3),
    rows=st.integers(1, 6),
    classes=st.integers(1, 12),
    block=st.integers(1, 5),
    levels=st.sampled_from([3, 1000]),
    seed=st.integers(0, 2**31),
)
def test_any_cut_selects_the_pairs_of_the_whole_matrix(
    world: int, rows: int, classes: int, block: int, levels: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Few levels make ties, where "strictly above" matters.
    whole = torch.randint(-levels, levels, (rows, classes), generator=generator).double() / levels
    labels = torch.randint(classes, (rows,), generator=generator)
    answers = run_ranks(world, selected, whole, labels, block, 2.0)
    assert set().union(*answers) == by_formula(whole, labels)
    assert sum(len(answer) for answer in answers) == len(set().union(*answers))


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_one_class_has_no_false_pairs(kernel: str) -> None:
    head = PartialFC(CIFP(CosFace()), 4, 1, kernel=kernel)  # type: ignore[arg-type]
    assert head(torch.randn(3, 4), torch.zeros(3)).item() == 0.0


def test_cifp_refuses_what_it_cannot_wrap() -> None:
    with pytest.raises(UserError, match="CIFP wraps Linear, expected ArcFace, CosFace or Comb"):
        CIFP(torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_cifp_called_as_a_margin_says_where_it_belongs() -> None:
    with pytest.raises(UserError, match=r"CIFP was called like a margin.*pass it to arcface_fair"):
        CIFP(ArcFace())(torch.zeros(1, 2), torch.tensor([0]))
