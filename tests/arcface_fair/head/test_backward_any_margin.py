# SPDX-License-Identifier: MIT
"""pmax is differentiable twice, in both kernels and over ranks; ce and entropy are not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.head import softmax_statistics
from tests.arcface_fair.head.full_softmax import (
    Batch,
    make_batch,
    make_head,
    margin_logits,
    own_rows,
)
from tests.ranks import run_ranks

MARGINS = ("cosface", "arcface-exact", "combined-filter", "cifp-arcface", "curricular")


def full_map_step(batch: Batch, margin: str, gains: Tensor) -> tuple[Tensor, ...]:
    """One process: the loss sum((d sum(g pmax) / d embeddings)^3), and its three gradients."""
    rows, weight = (t.clone().requires_grad_() for t in (batch.embeddings, batch.weight))
    gains = gains.clone().requires_grad_()
    active = torch.arange(len(weight)) if batch.active is None else batch.active
    labels = torch.searchsorted(active, batch.labels)
    centres = normalize(weight[active])
    logits = margin_logits(margin, normalize(rows), centres, labels, rows.norm(dim=1))
    pmax = logits.softmax(1).amax(1)
    (first,) = torch.autograd.grad((gains * pmax).sum(), rows, create_graph=True)
    return torch.autograd.grad((first**3).sum(), [rows, weight, gains])


def map_step(batch: Batch, margin: str, gains: Tensor, kernel: str) -> tuple[Tensor, ...]:
    """The same on one rank: its share of the loss times the world size, as under DDP."""
    head = make_head(batch, margin, kernel)
    world = dist.world_size()
    rows = own_rows(batch.embeddings).requires_grad_()
    gains = gains.clone().requires_grad_()
    labels = own_rows(batch.labels)
    active = None if batch.active is None else head.sample(labels)
    statistics = head.statistics(rows, labels, active=active, centre_gradient=1 / world)
    (first,) = torch.autograd.grad((gains * statistics.pmax).sum(), rows, create_graph=True)
    loss = (first**3).sum() * world
    of_rows, of_weight, of_gains = torch.autograd.grad(loss, [rows, head.weight, gains])
    return of_rows / world, of_weight, of_gains / world


@pytest.mark.parametrize("sampled", [False, True])
@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_the_map_is_trained_through_as_by_autograd(kernel: str, world: int, sampled: bool) -> None:
    for seed, margin in enumerate(MARGINS):
        batch = make_batch(seed, sampled=sampled)
        gains = 1 + torch.rand(12, generator=torch.Generator().manual_seed(seed)).double()
        wanted = full_map_step(batch, margin, gains)
        answers = run_ranks(world, map_step, batch, margin, gains, kernel)
        ours = (
            torch.cat([answer[0] for answer in answers]),
            torch.cat([answer[1] for answer in answers]),
            answers[0][2],
        )
        for name, one, two in zip(("rows", "weight", "gains"), ours, wanted, strict=True):
            size = float(two.abs().max())
            assert float((one - two).abs().max()) <= 1e-9 * size, (margin, name)


def both_gradients(batch: Batch, kernel: str | None) -> tuple[Tensor, ...]:
    """A loss on the first gradients of the embeddings and of the class centres alike."""
    rows = batch.embeddings.clone().requires_grad_()
    if kernel is None:
        weight = batch.weight.clone().requires_grad_()
        unit = normalize(weight)
        logits = margin_logits("arcface-exact", normalize(rows), unit, batch.labels, rows)
        pmax = logits.softmax(1).amax(1)
    else:
        head = make_head(batch, "arcface-exact", kernel)
        weight = head.weight
        pmax = head.statistics(rows, batch.labels).pmax
    first = torch.autograd.grad(pmax.square().sum(), [rows, weight], create_graph=True)
    loss = first[0].pow(3).sum() + 1e-6 * first[1].pow(3).sum()
    return torch.autograd.grad(loss, [rows, weight])


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_the_class_centres_gradient_is_differentiable_too(kernel: str) -> None:
    batch = make_batch(5)
    for one, two in zip(both_gradients(batch, kernel), both_gradients(batch, None), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9 * float(two.abs().max()))


def test_pmax_passes_autograds_own_checks_twice() -> None:
    logits = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 5, 2, 2])
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: softmax_statistics(z, labels), logits)
    assert torch.autograd.gradgradcheck(lambda z: softmax_statistics(z, labels)[2], logits)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("name", ["ce", "entropy"])
def test_ce_and_entropy_raise_when_differentiated_twice(name: str, kernel: str) -> None:
    batch = make_batch(0)
    head = make_head(batch, "arcface", kernel)
    rows = batch.embeddings.clone().requires_grad_()
    value = getattr(head.statistics(rows, batch.labels), name)
    (once,) = torch.autograd.grad(value.sum(), rows, create_graph=True)
    (plain,) = torch.autograd.grad(getattr(head.statistics(rows, batch.labels), name).sum(), rows)
    torch.testing.assert_close(once.detach(), plain)
    with pytest.raises(RuntimeError, match="ce or entropy of the head was differentiated twice"):
        once.square().sum().backward()


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_a_loss_with_a_map_in_it_takes_one_backward(kernel: str) -> None:
    batch = make_batch(1)
    head = make_head(batch, "arcface-exact", kernel)
    rows = batch.embeddings.clone().requires_grad_()

    def parts() -> tuple[Any, Any]:
        clean, erased = (head.statistics(part, batch.labels) for part in (rows, 0.9 * rows))
        (first,) = torch.autograd.grad(clean.pmax.sum(), rows, create_graph=True)
        return erased.ce.mean(), first.square().sum()

    separate = [torch.autograd.grad(part, [rows, head.weight]) for part in parts()]
    one, two = parts()
    together = torch.autograd.grad(one + two, [rows, head.weight])
    for index in range(2):
        torch.testing.assert_close(together[index], separate[0][index] + separate[1][index])
