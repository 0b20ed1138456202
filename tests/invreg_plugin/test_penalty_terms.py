# SPDX-License-Identifier: MIT
from types import SimpleNamespace

import pytest
import torch

from invreg_plugin.penalty import invariance, irmv1, rex, subset_risk_correction
from invreg_plugin.state import Partitions


def example():
    partitions = Partitions(2, 4, torch.device("cpu"))
    partitions.put(0, torch.tensor([0, 0, 1, 1], dtype=torch.uint8), 2, seed=0)
    ce = torch.tensor([1.0, 2.0, 4.0, 9.0], requires_grad=True)
    entropy = torch.tensor([0.5, 0.5, 1.0, 1.0], requires_grad=True)
    step = SimpleNamespace(ce=ce, entropy=entropy, batch_labels=torch.tensor([0, 1, 2, 3]))
    return partitions, step


def test_the_penalty_is_that_of_the_learned_partitions():
    partitions, step = example()
    subsets = torch.tensor([[0, 0, 1, 1]])
    torch.testing.assert_close(
        invariance("irmv1", partitions)(step), irmv1(step.ce, step.entropy, subsets, 2)
    )
    torch.testing.assert_close(invariance("rex", partitions)(step), rex(step.ce, subsets, 2))


@pytest.mark.parametrize("kind", ["irmv1", "rex"])
def test_before_the_first_stage_the_penalty_is_zero_with_a_graph(kind):
    _, step = example()
    value = invariance(kind, Partitions(1, 4, torch.device("cpu")))(step)
    assert value.item() == 0
    (gradient,) = torch.autograd.grad(value, step.ce)
    assert gradient.tolist() == [0, 0, 0, 0]


def test_the_correction_turns_the_pooled_risk_into_the_mean_over_subsets():
    partitions, step = example()
    partitions.subset[0] = torch.tensor([0, 1, 1, 1])
    value = step.ce.mean() + subset_risk_correction(partitions)(step)
    assert value.item() == pytest.approx((1.0 + 5.0) / 2)


def test_without_partitions_the_risk_stays_pooled():
    _, step = example()
    empty = Partitions(1, 4, torch.device("cpu"))
    assert subset_risk_correction(empty)(step).item() == 0
