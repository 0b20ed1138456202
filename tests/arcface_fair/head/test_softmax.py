# SPDX-License-Identifier: MIT
"""Three numbers per row equal a plain softmax's, on any cut of the classes over ranks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from arcface_fair import dist
from arcface_fair.head import shard_of, softmax_statistics
from tests.ranks import run_ranks


def plain(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    log_p = logits.log_softmax(1)
    ce = cross_entropy(logits, labels, reduction="none")
    return ce, -(log_p.exp() * log_p).sum(1), log_p.exp().amax(1)


def sharded(logits: Tensor, labels: Tensor, gains: Tensor) -> tuple[list[Tensor], Tensor]:
    """Statistics on this rank's columns, and the gradient of their weighted sum there."""
    here = shard_of(logits.shape[1], dist.rank(), dist.world_size())
    local = logits[:, here.start : here.stop].clone().requires_grad_()
    own = labels - here.start
    own = torch.where((own >= 0) & (own < len(here)), own, -1)
    values = softmax_statistics(local, own)
    (grad,) = torch.autograd.grad((gains * torch.stack(values)).sum(), local)
    return [value.detach() for value in values], grad


@settings(max_examples=25, deadline=None)
@given(
    world=st.integers(1, 3),
    rows=st.integers(1, 5),
    classes=st.integers(1, 9),
    scale=st.sampled_from([0.0, 1.0, 60.0, 400.0]),
    seed=st.integers(0, 2**31),
)
def test_any_cut_equals_the_plain_softmax(
    world: int, rows: int, classes: int, scale: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(rows, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (rows,), generator=generator)
    gains = torch.randn(3, rows, generator=generator, dtype=torch.float64)
    whole = logits.clone().requires_grad_()
    wanted = plain(whole, labels)
    (grad,) = torch.autograd.grad((gains * torch.stack(wanted)).sum(), whole)
    if scale == 0:  # autograd shares pmax's gradient among ties; ours goes to the lowest class
        grad = tied_gradient(logits, labels, gains)
    answers = run_ranks(world, sharded, logits, labels, gains)
    for values, _ in answers:
        for ours, theirs in zip(values, wanted, strict=True):
            torch.testing.assert_close(ours, theirs.detach(), rtol=1e-10, atol=1e-10)
    ours = torch.cat([local for _, local in answers], 1)
    torch.testing.assert_close(ours, grad, rtol=1e-9, atol=1e-9 * max(scale, 1.0))


def tied_gradient(logits: Tensor, labels: Tensor, gains: Tensor) -> Tensor:
    p = logits.softmax(1)
    own = torch.zeros_like(p).scatter_(1, labels[:, None], 1)
    first = torch.zeros_like(p)
    first[:, 0] = 1
    entropy = -torch.special.xlogy(p, p).sum(1, keepdim=True)
    return (
        gains[0, :, None] * (p - own)
        - gains[1, :, None] * p * (p.log() + entropy)
        + gains[2, :, None] * p[:, :1] * (first - p)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_promoted(dtype: torch.dtype) -> None:
    logits = torch.tensor([[60.0, 1.0], [0.5, 2.0]], dtype=dtype, requires_grad=True)
    values = softmax_statistics(logits, torch.tensor([1, 1]))
    for ours, theirs in zip(values, plain(logits.float(), torch.tensor([1, 1])), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs)
    values[0].sum().backward()
    assert logits.grad is not None
    assert logits.grad.dtype == dtype


def test_the_loss_is_not_clamped_where_upstreams_is() -> None:
    ce, entropy, pmax = softmax_statistics(torch.tensor([[0.0, 200.0]]), torch.tensor([0]))
    assert (ce.item(), entropy.item(), pmax.item()) == (200.0, 0.0, 1.0)


def test_a_column_of_labels_is_read_as_a_row() -> None:
    logits, labels = torch.randn(3, 4), torch.tensor([0, 3, 1])
    for one, two in zip(
        softmax_statistics(logits, labels), softmax_statistics(logits, labels[:, None]), strict=True
    ):
        assert torch.equal(one, two)


def test_a_label_that_no_rank_holds_gives_nan_and_not_a_wrong_number() -> None:
    ce, entropy, _ = softmax_statistics(torch.randn(2, 4), torch.tensor([-1, 3]))
    assert ce.isnan().tolist() == [True, False]
    assert bool(entropy.isfinite().all())


def test_a_class_left_out_with_minus_infinity_counts_nowhere() -> None:
    logits = torch.tensor([[1.0, -torch.inf, 0.0]], requires_grad=True)
    labels = torch.tensor([0])
    values = softmax_statistics(logits, labels)
    shorter = plain(torch.tensor([[1.0, 0.0]]), labels)
    torch.testing.assert_close(values, shorter)
    sum(values).sum().backward()  # type: ignore[union-attr]
    assert logits.grad is not None
    assert logits.grad[0, 1].item() == 0.0


def test_more_rows_than_one_slice_give_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = torch.randn(7, 5, dtype=torch.float64), torch.randint(5, (7,))
    whole = softmax_statistics(logits, labels)
    monkeypatch.setattr("arcface_fair.head.softmax._CPU_ELEMENTS", 10)
    torch.testing.assert_close(softmax_statistics(logits, labels), whole)
