# SPDX-License-Identifier: MIT
"""The objective and its gradient against the formula written out in loops."""

import pytest
import torch
from torch import Tensor

from invreg_plugin.objective import OBJECTIVES, similarities, value_and_gradient
from tests.ranks import run_ranks

TEMPERATURE = 0.3


def drawn(counts: list[int], subsets: int = 2, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    slots = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    features = torch.randn(len(slots), 6, generator=generator, dtype=torch.float64)
    scores = torch.randn(len(counts), subsets, generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(features), slots, scores.softmax(1)


def literal_row(scores: Tensor, slots: Tensor, i: int, a: Tensor) -> Tensor:
    """l_ik of row i for one subset; scores [N, N] are s, a [N] the weights of the rows."""
    positive = [j for j in range(len(slots)) if j != i and slots[j] == slots[i]]
    negative = [j for j in range(len(slots)) if slots[j] != slots[i]]
    inside = sum(scores[i, j].exp() for j in positive)
    weighted = sum(a[j] * scores[i, j].exp() for j in negative)
    inside = inside + len(negative) * weighted / sum(a[j] for j in negative)
    return sum(inside.log() - scores[i, j] for j in positive) / len(positive)


def literal_value(
    objective: str, features: Tensor, slots: Tensor, assignment: Tensor, balance: float
) -> Tensor:
    """math.md section 3 in loops, IRMv1's slope by autograd with respect to a dummy scale."""
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    scores = scale * (features @ features.T / TEMPERATURE)
    risks, slopes = [], []
    for k in range(assignment.shape[1]):
        a = assignment[slots, k]
        rows = [i for i in range(len(slots)) if (slots == slots[i]).sum() > 1]
        risk = sum(a[i] * literal_row(scores, slots, i, a) for i in rows) / sum(a[i] for i in rows)
        risks.append(risk)
        slopes.append(torch.autograd.grad(risk, scale, create_graph=True)[0])
    L, G, share = torch.stack(risks), torch.stack(slopes), assignment[slots].mean(0)
    value = {
        "paper": L.mean() + 0.2 * L.var(),
        "rex": 20 * L.var(),
        "irmv1": L.mean() + 0.2 * G.square().mean(),
    }[objective]
    return value - balance * (share * share.log()).sum()


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("counts", "subsets"), [([3, 2, 4], 2), ([2, 1, 5, 1], 3)])
def test_value_and_gradient_equal_the_formula_and_its_autograd(objective, counts, subsets):
    features, slots, assignment = drawn(counts, subsets)
    weights = assignment.clone().requires_grad_()
    expected = literal_value(objective, features, slots, weights, balance=1.5)
    (gradient,) = torch.autograd.grad(-expected, weights)
    expected = expected.detach()
    sim = similarities(features, slots, slice(None), TEMPERATURE, objective == "irmv1")
    result = value_and_gradient(objective, sim, assignment, 1.5)
    assert result.value == pytest.approx(float(expected), rel=1e-12)
    torch.testing.assert_close(result.gradient, gradient, rtol=1e-10, atol=1e-12)


def test_float32_features_change_the_gradient_by_rounding_only():
    features, slots, assignment = drawn([4] * 12)
    exact = value_and_gradient(
        "paper", similarities(features, slots, slice(None), TEMPERATURE), assignment, 1.0
    )
    coarse = value_and_gradient(
        "paper", similarities(features.float(), slots, slice(None), TEMPERATURE), assignment, 1.0
    )
    torch.testing.assert_close(coarse.gradient, exact.gradient, rtol=1e-5, atol=1e-6)


def test_a_subset_that_lies_on_one_identity_stays_finite():
    features, slots, _ = drawn([3, 3, 3])
    assignment = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    sim = similarities(features, slots, slice(None), TEMPERATURE, slopes=True)
    for objective in OBJECTIVES:
        result = value_and_gradient(objective, sim, assignment, 1.0)
        assert torch.isfinite(result.averages).all()
        assert torch.isfinite(result.gradient).all()


def share_of_rank(objective: str, counts: list[int]) -> tuple[float, Tensor]:
    from arcface_fair import dist

    features, slots, assignment = drawn(counts)
    size, ranks, rank = len(slots), dist.world_size(), dist.rank()
    rows = slice(size * rank // ranks, size * (rank + 1) // ranks)
    sim = similarities(features, slots, rows, TEMPERATURE, objective == "irmv1")
    result = value_and_gradient(objective, sim, assignment, 1.0)
    return result.value, result.gradient


@pytest.mark.parametrize(("world_size", "counts"), [(2, [3, 2, 4]), (3, [1, 1])])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_ranks_that_share_the_rows_get_the_gradient_of_one_process(world_size, counts, objective):
    alone = share_of_rank(objective, counts)
    shared = run_ranks(world_size, share_of_rank, objective, counts)
    for value, gradient in shared:
        assert value == pytest.approx(alone[0], rel=1e-12, abs=1e-12)
        torch.testing.assert_close(gradient, alone[1], rtol=1e-10, atol=1e-12)
        assert torch.equal(gradient, shared[0][1])
