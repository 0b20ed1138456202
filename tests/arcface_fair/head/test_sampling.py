# SPDX-License-Identifier: MIT
"""Who holds which class, where its first values come from, and which classes a step takes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from arcface_fair import dist
from arcface_fair.head import Active, ArcFace, PartialFC, shard_of
from arcface_fair.head.sampling import draw, initial_rows, local_columns
from tests.ranks import run_ranks


@given(st.integers(1, 50), st.integers(1, 8))
def test_the_shards_are_the_classes_in_order_and_even_to_one(classes: int, world: int) -> None:
    shards = [shard_of(classes, rank, world) for rank in range(world)]
    assert [c for shard in shards for c in shard] == list(range(classes))
    sizes = [len(shard) for shard in shards]
    assert sorted(sizes, reverse=True) == sizes
    assert sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize("world", [2, 3, 7])
def test_a_class_starts_from_the_same_row_in_any_world(world: int) -> None:
    classes = 2500
    whole = initial_rows(range(classes), classes, 3, seed=5)
    parts = [initial_rows(shard_of(classes, r, world), classes, 3, seed=5) for r in range(world)]
    assert torch.equal(torch.cat(parts), whole)


def test_first_rows_are_small_normal_and_set_by_the_seed() -> None:
    rows = initial_rows(range(4000), 4000, 16, seed=1)
    assert rows.mean().item() == pytest.approx(0, abs=2e-4)
    assert rows.std().item() == pytest.approx(0.01, rel=0.02)
    assert not torch.equal(rows, initial_rows(range(4000), 4000, 16, seed=2))
    assert len(rows.unique(dim=0)) == 4000


def test_first_rows_do_not_repeat_what_the_same_seed_draws_elsewhere() -> None:
    # With the same stream, embeddings drawn after torch.manual_seed would be class centres.
    torch.manual_seed(0)
    drawn = torch.randn(8, 16)
    rows = initial_rows(range(1024), 1024, 16, seed=0)
    cosines = torch.nn.functional.normalize(drawn) @ torch.nn.functional.normalize(rows).T
    assert cosines.abs().max().item() < 0.95


def test_a_sample_is_every_positive_and_random_negatives_sorted() -> None:
    labels = torch.tensor([7, 2, 2, -1])
    torch.manual_seed(0)
    one, two = draw(labels, 20, 8), draw(labels, 20, 8)
    for index in (one, two):
        assert len(index) == 8
        assert index.tolist() == sorted(set(index.tolist()))
        assert {2, 7} <= set(index.tolist())
    assert not torch.equal(one, two)


def test_more_positives_than_the_sample_are_all_taken() -> None:
    assert draw(torch.tensor([5, 3, 1, 3]), 20, 2).tolist() == [1, 3, 5]


def test_a_resumed_run_draws_what_it_would_have_drawn() -> None:
    labels = torch.tensor([1])
    state = torch.get_rng_state()
    first = draw(labels, 100, 30)
    torch.set_rng_state(state)
    assert torch.equal(first, draw(labels, 100, 30))


def test_labels_become_columns_of_the_sample() -> None:
    classes, active = range(10, 20), Active(torch.tensor([1, 4, 9]))
    labels = torch.tensor([11, 14, 19, 9, 20, 15])
    assert local_columns(labels, classes, active).tolist() == [0, 1, 2, -1, -1, -1]
    assert local_columns(labels, classes, Active()).tolist() == [1, 4, 9, -1, -1, 5]
    empty = Active(torch.empty(0, dtype=torch.int64))
    assert local_columns(labels, classes, empty).tolist() == [-1] * 6


def sampled_step(kernel: str) -> tuple[list[int], Tensor, list[int]]:
    torch.manual_seed(3)
    head = PartialFC(ArcFace(), 6, 31, 0.3, kernel=kernel)  # type: ignore[arg-type]
    # All labels in the first third: in a world of three, two shards hold none of them.
    labels = torch.tensor([0, 3, 7, 3]) if dist.rank() == 0 else torch.tensor([9, 9, 1, 2])
    head(torch.randn(4, 6), labels).backward()
    assert head.weight_index is not None
    assert head.weight.grad is not None
    moved = (head.weight.grad != 0).any(1).nonzero()[:, 0]
    return head.weight_index.tolist(), head.weight.grad, moved.tolist()


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_rows_that_were_not_sampled_get_no_gradient(world: int, kernel: str) -> None:
    for rank, (index, grad, moved) in enumerate(run_ranks(world, sampled_step, kernel)):
        assert set(moved) <= set(index)
        assert moved  # the softmax is shared, so every shard's sample learns
        positives = {0, 3, 7, 9, 1, 2} if world > 1 else {0, 3, 7}
        held = len(grad)
        assert len(index) == max(int(0.3 * held), len(positives) if rank == 0 else 0)


def test_a_rate_of_one_takes_every_class_without_drawing() -> None:
    head = PartialFC(ArcFace(), 4, 10)
    state = torch.get_rng_state()
    assert head.sample(torch.tensor([1])).index is None
    assert torch.equal(state, torch.get_rng_state())
    assert head.weight_index is None
