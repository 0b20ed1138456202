# SPDX-License-Identifier: MIT
from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from arcface_fair.errors import UserError
from studies.leads.group_dro import GroupWeights, Settings, group_losses, moved
from tests.studies.leads.runs import losses_of

PLUGIN = ["studies.leads.group_dro"]


def session(**shared: Any) -> Any:
    run = SimpleNamespace(num_classes=4, device=torch.device("cpu"))
    return SimpleNamespace(run=run, shared=shared, log=lambda tag, value: None)


def with_partition(subset: list[int], **settings: Any) -> GroupWeights:
    run = session(identity_partition=np.array(subset, np.uint8))
    weights = GroupWeights(Settings(groups="session", **settings), run)
    weights.before_epoch(run)
    return weights


def step(ce: list[float], labels: list[int]) -> Any:
    values = torch.tensor(ce, requires_grad=True)
    return SimpleNamespace(ce=values, batch_labels=torch.tensor(labels))


def test_two_steps_by_hand():
    # Identities 0 and 1 are group 0, 2 is group 1, 3 is none. L = (2, 5): q = softmax(.1 L).
    weights = with_partition([0, 0, 1, 255], eta=0.1)
    one = step([1.0, 3.0, 5.0, 8.0], [0, 1, 2, 3])
    loss = one.ce.mean() + weights.correction(one)
    low, high = math.exp(0.2), math.exp(0.5)
    assert weights.weights.tolist() == pytest.approx([low / (low + high), high / (low + high)])
    assert loss.item() == pytest.approx((2 * low + 5 * high) / (low + high), rel=1e-6)
    (gradient,) = torch.autograd.grad(loss, one.ce)
    shares = [low / 2, low / 2, high, 0.0]
    assert gradient.tolist() == pytest.approx([s / (low + high) for s in shares], abs=1e-7)
    # Without group 1 in the batch its pull is 0 and its loss is absent.
    two = step([4.0], [0])
    loss = two.ce.mean() + weights.correction(two)
    low *= math.exp(0.4)
    assert weights.weights.tolist() == pytest.approx([low / (low + high), high / (low + high)])
    assert loss.item() == pytest.approx(4 * low / (low + high), rel=1e-6)


def test_the_adjustment_favours_small_groups():
    weights = with_partition([0, 0, 0, 1], eta=1.0, adjustment=2.0)
    weights.correction(step([1.0, 1.0], [0, 3]))
    ratio = math.exp(2 - 2 / math.sqrt(3))
    assert (weights.weights[1] / weights.weights[0]).item() == pytest.approx(ratio, rel=1e-5)


def test_before_there_are_groups_the_loss_is_the_heads():
    weights = GroupWeights(Settings(groups="session"), session())
    assert weights.correction(step([1.0, 2.0], [0, 1])).item() == 0
    known = with_partition([0, 1, 255, 255])
    assert known.correction(step([1.0, 2.0], [2, 3])).item() == 0
    assert known.weights.tolist() == [0.5, 0.5]


def test_new_groups_begin_even_and_old_ones_go_on():
    weights = with_partition([0, 0, 1, 1], eta=1.0)
    weights.correction(step([1.0, 3.0], [0, 2]))
    before = weights.weights.clone()
    weights.before_epoch(weights.session)
    assert torch.equal(weights.weights, before)
    again = GroupWeights(Settings(groups="session"), session())
    again.load_state_dict(weights.state_dict())
    again.before_epoch(weights.session)
    assert torch.equal(again.weights, before)
    weights.session.shared["identity_partition"] = np.array([0, 1, 2, 2], np.uint8)
    weights.before_epoch(weights.session)
    assert weights.weights.tolist() == pytest.approx([1 / 3] * 3)


def test_an_absent_group_counts_nothing():
    losses, present = group_losses(torch.tensor([1.0, 2.0]), torch.tensor([0, -1]), 2)
    assert (losses.tolist(), present.tolist()) == ([1.0, 0.0], [True, False])
    assert moved(torch.tensor([0.5, 0.5]), torch.zeros(2), 1.0).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eta": -1.0}, "group_dro.eta is -1, expected at least 0"),
        ({"adjustment": -1.0}, "group_dro.adjustment is -1, expected at least 0"),
        ({"groups": "mine"}, "group_dro.groups is 'mine', expected one of table, session"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        Settings(**changes)


def test_two_processes_give_the_losses_of_one(run_ranks, record, tmp_path):
    block = {"group_dro": {"eta": 0.2}}
    one, two = (str(tmp_path / name) for name in ("one", "two"))
    alone = losses_of(str(record), one, PLUGIN, {**block, "batch_size": 8})
    parted = run_ranks(2, losses_of, str(record), two, PLUGIN, {**block, "batch_size": 4})[0]
    np.testing.assert_allclose(parted, alone, rtol=1e-9)
    plain = losses_of(str(record), str(tmp_path / "plain"), [], {"batch_size": 8})
    assert abs(np.array(alone) - plain).max() > 0.01
