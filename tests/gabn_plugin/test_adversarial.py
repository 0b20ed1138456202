# SPDX-License-Identifier: MIT
"""L_adv's gradient is the one that autograd takes on one full softmax in one process."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import gabn_plugin.adversarial as adversarial
from arcface_fair import dist
from arcface_fair.attention.gradient_maps import ObjectiveScale, plain_margin
from arcface_fair.head import ArcFace, PartialFC
from gabn_plugin.adversarial import Confusion
from gabn_plugin.classifier import MapClassifier
from gabn_plugin.config import GabnSettings
from tests.ranks import run_ranks

ROWS, CLASSES, DIM, SCALE = 8, 7, 6, 8.0
GROUPS = torch.tensor([0, 1, -1, 2, 0, -1, -1, 1])


class Smooth(nn.Module):
    """A network without kinks and without BatchNorm, in float64."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.conv = nn.Conv2d(3, 4, 3, stride=2, dtype=torch.float64)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(4 * 36, DIM, dtype=torch.float64)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.dropout(torch.tanh(self.conv(images)).flatten(1)))


def parts(share: float = 1.0, second_order: str = "exact", dropout: float = 0.0) -> tuple[Any, ...]:
    backbone = Smooth(dropout).train()
    head = PartialFC(ArcFace(SCALE, 0.3), DIM, CLASSES, seed=5).double()
    head.weight.data.mul_(100)
    settings = GabnSettings(classifier_width=4, map_side=14)
    judge = MapClassifier(settings, 3, 1, torch.device("cpu"))
    judge.network.double()
    confusion = Confusion(
        backbone, head, judge, ObjectiveScale(), share=share, second_order=second_order
    )
    return backbone, head, judge, confusion


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(ROWS, 3, 14, 14, generator=generator, dtype=torch.float64) * 2 - 1
    return images, torch.arange(ROWS) % CLASSES


def reference(rows: Tensor) -> tuple[Tensor, ...]:
    """L_adv over ``rows`` and its gradients, by autograd on one full softmax."""
    backbone, head, judge, _ = parts()
    images, _ = batch()
    x = images[rows].requires_grad_()
    logits = SCALE * normalize(backbone(x)) @ normalize(head.weight).T
    pmax = logits.softmax(1).max(1).values
    (gradient,) = torch.autograd.grad(pmax.sum(), x, create_graph=True)
    known = GROUPS[rows] >= 0
    maps = gradient.abs().amax(1)[known]
    judge.network.train()
    scores = judge.network((maps / maps.mean((1, 2), keepdim=True))[:, None])
    value = -scores.log_softmax(1).mean(1).mean()
    value.backward()
    return value.detach(), *(p.grad for p in backbone.parameters()), head.weight.grad


def term_of(
    confusion: Confusion, images: Tensor, labels: Tensor, groups: Tensor, all_groups: Tensor
) -> Tensor:
    margin = plain_margin(confusion.head.margin_softmax)
    seen = adversarial.attend(
        confusion.backbone, confusion.head, images, labels,
        margin=margin, create_graph=confusion.uses_graph,
    )  # fmt: skip
    return confusion.term(seen, images, labels, groups, all_groups, margin=margin, active=None)


def _term_on_rank(share: float, second_order: str, step: float) -> tuple[Tensor, ...]:
    adversarial.STEP = step
    backbone, head, _, confusion = parts(share, second_order)
    images, labels = batch()
    own = torch.arange(ROWS).chunk(dist.world_size())[dist.rank()]
    value = term_of(confusion, images[own], labels[own], GROUPS[own], GROUPS)
    value.backward()
    averaged = [dist.all_reduce_(p.grad) / dist.world_size() for p in backbone.parameters()]
    return value.detach(), *averaged, dist.gather_objects(head.weight.grad)


def joined(answer: tuple[Any, ...]) -> tuple[Tensor, ...]:
    return (*answer[:-1], torch.cat(answer[-1]))


@pytest.mark.parametrize("world_size", [1, 2])
def test_exact_equals_autograd_on_one_softmax_as_ddp_would_average_it(world_size: int) -> None:
    expected = reference(torch.arange(ROWS))
    for answer in run_ranks(world_size, _term_on_rank, 1.0, "exact", 0.5):
        torch.testing.assert_close(joined(answer), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_difference_of_two_passes_has_the_exact_gradient_in_its_limit(world_size: int) -> None:
    expected = reference(torch.arange(ROWS))
    for answer in run_ranks(world_size, _term_on_rank, 1.0, "difference", 1e-3):
        torch.testing.assert_close(joined(answer), expected, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_share_of_the_batch_is_the_first_rows_of_every_rank(world_size: int) -> None:
    own = torch.arange(ROWS).chunk(world_size)
    expected = reference(torch.cat([rows[: len(rows) // 2] for rows in own]))
    for answer in run_ranks(world_size, _term_on_rank, 0.5, "exact", 0.5):
        torch.testing.assert_close(joined(answer), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("second_order", ["exact", "difference"])
def test_a_batch_without_a_known_group_gives_zero_with_a_graph(second_order: str) -> None:
    backbone, _, _, confusion = parts(second_order=second_order)
    nobody = torch.full((ROWS,), -1)
    value = term_of(confusion, *batch(), nobody, nobody)
    value.backward()
    assert value == 0
    assert all(not p.grad.any() for p in backbone.parameters())


def test_both_passes_of_a_difference_drop_the_same_units() -> None:
    _, head, _, confusion = parts(second_order="difference", dropout=0.5)
    images, labels = batch()
    margin = plain_margin(head.margin_softmax)
    slope = confusion._slope(images, torch.zeros_like(images), labels, margin, None)
    assert slope == 0  # equal images, so that only different units could tell the ends apart


def test_the_value_alone_equals_that_of_the_term() -> None:
    _, head, _, confusion = parts()
    images, labels = batch()
    margin = plain_margin(head.margin_softmax)
    seen = adversarial.attend(confusion.backbone, head, images, labels, margin=margin)
    term = term_of(confusion, images, labels, GROUPS, GROUPS)
    torch.testing.assert_close(confusion.value(seen.maps, GROUPS, 5), term.detach())


def test_the_heads_groups_are_cut_to_the_share_and_come_back() -> None:
    _, head, _, confusion = parts(share=0.5)
    head.groups = GROUPS
    term_of(confusion, *batch(), GROUPS, GROUPS)
    assert head.groups is GROUPS
