# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import ObjectiveScale
from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from studies.leads.group_mean_maps import (
    MeanMapClassifier,
    MeanMapConfusion,
    Settings,
    build,
    mean_maps,
)
from tests.gabn_plugin.test_adversarial import SCALE, batch, parts, term_of
from tests.ranks import run_ranks
from tests.studies.leads.runs import losses_of

SMALL = {"classifier_width": 4, "map_side": 28, "classifier_lr": 0.01, "start": 0.0}
ALONE = {**SMALL, "erasing": "off", "confidence": False}
GROUPS = torch.tensor([0, 2, -1, 2, 0, 0, -1, 2])


def maps() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(8, 28, 28, generator=generator, dtype=torch.float64)


def on_rank() -> tuple[Tensor, ...]:
    own = torch.arange(8).chunk(dist.world_size())[dist.rank()]
    mine = maps()[own].requires_grad_()
    means, present = mean_maps(mine, GROUPS[own], 3)
    (means * torch.arange(1.0, 3.0)[:, None, None]).square().sum().backward()
    assert mine.grad is not None
    judge = MeanMapClassifier(Settings(**SMALL), 3, 0, torch.device("cpu"))
    judge.network.double()
    loss, _ = judge.learn(mine, GROUPS[own], GROUPS)
    weights = torch.cat([p.detach().flatten() for p in judge.network.parameters()])
    averaged = dist.gather_rows(mine.grad) / dist.world_size()
    return means.detach(), present, averaged, loss, weights


def test_a_mean_map_is_the_groups_average_of_relative_maps():
    means, present = mean_maps(maps(), GROUPS, 3)
    relative = maps() / maps().mean((1, 2), keepdim=True)
    assert present.tolist() == [0, 2]
    torch.testing.assert_close(means[0], relative[[0, 4, 5]].mean(0))
    torch.testing.assert_close(means[1], relative[[1, 3, 7]].mean(0))


def test_two_processes_have_the_means_gradients_and_classifier_of_one():
    alone = on_rank()
    for answer in run_ranks(2, on_rank):
        for found, wanted in zip(answer, alone, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_with_one_group_in_the_batch_nothing_is_learned():
    judge = MeanMapClassifier(Settings(**SMALL), 3, 0, torch.device("cpu"))
    judge.network.double()
    before = [p.clone() for p in judge.network.parameters()]
    one = torch.zeros(8, dtype=torch.int64)
    loss, accuracy = judge.learn(maps(), one, one)
    assert loss.isnan()
    assert accuracy.isnan()
    assert all(torch.equal(a, b) for a, b in zip(before, judge.network.parameters(), strict=True))


def term_on_rank() -> tuple[Tensor, ...]:
    """L_adv, its gradient in the backbone as DDP would average it, and in the class centres."""
    backbone, head, _, _ = parts()
    judge = MeanMapClassifier(Settings(classifier_width=4, map_side=14), 3, 1, torch.device("cpu"))
    judge.network.double()
    confusion = MeanMapConfusion(backbone, head, judge, ObjectiveScale())
    images, labels = batch()
    own = torch.arange(len(images)).chunk(dist.world_size())[dist.rank()]
    value = term_of(confusion, images[own], labels[own], GROUPS[own], GROUPS)
    value.backward()
    averaged = [dist.gather_values(p.grad).mean(0) for p in backbone.parameters()]
    return value.detach(), *averaged, torch.cat(dist.gather_objects(head.weight.grad))


def by_autograd() -> tuple[Tensor, ...]:
    """The same on one full softmax."""
    backbone, head, judge, _ = parts()
    x = batch()[0].requires_grad_()
    logits = SCALE * normalize(backbone(x)) @ normalize(head.weight).T
    pmax = logits.softmax(1).max(1).values
    (gradient,) = torch.autograd.grad(pmax.sum(), x, create_graph=True)
    relative = gradient.abs().amax(1)
    relative = relative / relative.mean((1, 2), keepdim=True)
    means = torch.stack([relative[g == GROUPS].mean(0) for g in (0, 2)])
    judge.network.train()
    # The classifier divides by the mean again, which for a mean of relative maps is 1.
    value = -judge.network(means[:, None]).log_softmax(1).mean()
    value.backward()
    return value.detach(), *(p.grad for p in backbone.parameters()), head.weight.grad


@pytest.mark.parametrize("world", [1, 2])
def test_the_term_and_its_gradient_are_those_of_one_full_softmax(world):
    for answer in run_ranks(world, term_on_rank):
        for found, wanted in zip(answer, by_autograd(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9)


def test_a_run_learns_from_it(record, tmp_path):
    plugins = ["studies.leads.group_mean_maps"]
    runs = [
        losses_of(
            str(record), str(tmp_path / f"run_{weight}"), plugins,
            {"gabn": {**ALONE, "weight": weight}, "num_epoch": 1},
        )
        for weight in (0.0, 0.1)
    ]  # fmt: skip
    assert len(runs[1]) == 6
    assert np.isfinite(runs[1]).all()
    # Step 1 holds 0.1 L_adv on top, and L_adv is at least log 3.
    assert runs[1][0] - runs[0][0] > 0.1 * np.log(3) - 1e-9


@pytest.mark.parametrize(
    "changes", [{"confidence": True}, {"objective": "shift"}, {"adversarial": False}]
)
def test_parts_that_it_leaves_out_are_refused(changes):
    settings = Settings(**{**ALONE, "erasing": "attention", **changes})
    with pytest.raises(UserError, match="has the adversarial term alone, with erasing if wanted"):
        build(settings, SimpleNamespace())  # type: ignore[arg-type]


def test_one_group_is_refused():
    session: Any = SimpleNamespace(
        group_table=GroupTable.of_words({"all": ["x"] * 3}), group_attribute="all"
    )
    session.run = session
    with pytest.raises(UserError, match="the group table names 1, expected at least two"):
        build(Settings(**ALONE), session)
