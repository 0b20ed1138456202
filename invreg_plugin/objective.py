# SPDX-License-Identifier: MIT
"""The value of a soft partition on one batch of frozen features, and its gradient.

n rows of the batch held by this rank, N rows of the whole batch, P identities in the batch,
D feature size, K subsets. s_ij = phi_i . phi_j / temperature, a_i = A[y_i, k].

    l_ik = mean over positives j of ( -s_ij + log( sum_pos e^s + n_neg * E_neg[e^s] ) )
    E_neg[e^s] = sum_neg a_j e^s / sum_neg a_j
    L_k  = sum_i a_i l_ik / sum_i a_i            (rows without a positive left out)

Source: INV-REG (ICCV 2023), eq. (4)-(5), with the supervised contrastive loss (arXiv 2004.11362).
Features are frozen and a_j is a property of an identity, so the N x N part needs no gradient and
shrinks to one [n, P] table before the weights enter: what is differentiated is small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from arcface_fair import dist

INVARIANCE_WEIGHT = 0.2  # of the variance or squared slope beside the mean, as released
_FLOOR = 1e-30  # added to weights: a subset without any keeps finite means, others do not notice
REX_WEIGHT = 20.0  # of the variance alone; the balance term has weight 1


@dataclass(frozen=True)
class Similarities:
    """What the batch's features say, before any weight; float64 but for the counts' use.

    own [n] int64 is the row's identity 0..P-1, counts [P] the images of each identity in the whole
    batch. positives [n] = sum_pos e^s, mean_positive [n] = mean_pos s, negatives [n, P] = the sum
    of e^s over the images of each other identity (0 for the own). The ``_slope`` pair holds the
    same sums of s e^s, which the IRMv1 objective needs; None otherwise.
    """

    own: Tensor
    counts: Tensor
    positives: Tensor
    mean_positive: Tensor
    negatives: Tensor
    positives_slope: Tensor | None = None
    negatives_slope: Tensor | None = None


def similarities(
    features: Tensor, slots: Tensor, rows: slice, temperature: float, slopes: bool = False
) -> Similarities:
    """Sums of e^s for the rows ``rows`` against the whole batch.

    features [N, D] L2-normalised; slots [N] int64, identities of the batch numbered from 0 without
    gaps. With a temperature of 0.3 s stays within 3.4, so nothing has to be shifted; the settings
    keep the temperature above the value at which float32 overflows.
    """
    own = slots[rows]
    membership = torch.nn.functional.one_hot(slots).to(features.dtype)
    scores = features[rows] @ features.T / temperature
    mine = torch.arange(len(own), device=own.device)
    scores_self = scores[mine, torch.arange(len(slots), device=own.device)[rows]].double()
    powers = scores.exp()
    counts = membership.sum(0).double()
    positives, negatives = _split(powers @ membership, own, scores_self.exp())
    sum_positive, _ = _split(scores @ membership, own, scores_self)
    extra: tuple[Tensor, ...] = ()
    if slopes:
        extra = _split(scores.mul_(powers) @ membership, own, scores_self * scores_self.exp())
    mean_positive = sum_positive / (counts[own] - 1).clamp_min(1)
    return Similarities(own, counts, positives, mean_positive, negatives, *extra)


def _split(table: Tensor, own: Tensor, itself: Tensor) -> tuple[Tensor, Tensor]:
    """Separates the own identity's column, without the row itself, from the others'."""
    table = table.double()
    positives = table.gather(1, own[:, None])[:, 0] - itself
    return positives, table.scatter(1, own[:, None], 0.0)


def row_risks(sim: Similarities, assignment: Tensor) -> Tensor:
    """l_ik of this rank's rows: assignment A [P, K] float64 -> [n, K]."""
    inside, _ = _inside_log(sim, assignment)
    return inside.log() - sim.mean_positive[:, None]


def row_slopes(sim: Similarities, assignment: Tensor) -> Tensor:
    """d l_ik(w s) / dw at w = 1, the summand of IRMv1 (arXiv 1907.02893): [n, K]."""
    assert sim.positives_slope is not None
    assert sim.negatives_slope is not None
    inside, share = _inside_log(sim, assignment)
    slope = sim.positives_slope[:, None] + share * (sim.negatives_slope @ (assignment + _FLOOR))
    return slope / inside - sim.mean_positive[:, None]


def _inside_log(sim: Similarities, assignment: Tensor) -> tuple[Tensor, Tensor]:
    """sum_pos + n_neg * sum_neg a e^s / sum_neg a, and n_neg / sum_neg a, both [n, K]."""
    own_counts = sim.counts[sim.own][:, None]
    assignment = assignment + _FLOOR
    weights = sim.counts[:, None] * assignment
    # Summed over the other identities directly: a difference of sums cancels where nearly all
    # the weight of a subset lies on the own identity.
    others = 1 - torch.nn.functional.one_hot(sim.own, len(sim.counts)).to(weights.dtype)
    share = (sim.counts.sum() - own_counts) / (others @ weights + _FLOOR)
    return sim.positives[:, None] + share * (sim.negatives @ assignment), share


def paper_value(risks: Tensor) -> Tensor:
    """Eq. (4) with V-REx, as published: mean over subsets + 0.2 of their variance (ddof 1)."""
    return risks[:, 0].mean() + INVARIANCE_WEIGHT * risks[:, 0].var(correction=1)


def rex_value(risks: Tensor) -> Tensor:
    """V-REx (arXiv 2003.00688) alone: 20 times the variance (ddof 1)."""
    return REX_WEIGHT * risks[:, 0].var(correction=1)


def irm_value(risks_and_slopes: Tensor) -> Tensor:
    """Eq. (4) with IRMv1: mean over subsets of risk + 0.2 of the squared slope."""
    risks, slopes = risks_and_slopes.unbind(1)
    return risks.mean() + INVARIANCE_WEIGHT * slopes.square().mean()


Rows = Callable[[Similarities, Tensor], Tensor]
# What is averaged over a subset's rows, and the value of the averages [K, quantities] -> scalar.
OBJECTIVES: dict[str, tuple[tuple[Rows, ...], Callable[[Tensor], Tensor]]] = {
    "paper": ((row_risks,), paper_value),
    "rex": ((row_risks,), rex_value),
    "irmv1": ((row_risks, row_slopes), irm_value),
}


def entropy(shares: Tensor) -> Tensor:
    """Entropy in nats of [K] shares that sum to one."""
    return -(shares * (shares + _FLOOR).log()).sum()


@dataclass(frozen=True)
class StepResult:
    """value: what is maximised, on this batch; averages [K, quantities]: each subset's risk, and
    slope where the objective has one; gradient of -value to A [P, K].
    """

    value: float
    averages: Tensor
    gradient: Tensor


def value_and_gradient(
    objective: str, sim: Similarities, assignment: Tensor, balance: float
) -> StepResult:
    """Objective of the whole batch, from this rank's rows; the same on every rank.

    assignment A [P, K] float64, rows sum to one; balance weighs the entropy of mean_i A[y_i].
    Collective: sums over the ranks of [K] and [P, K] numbers, whatever the size of the batch.
    """
    quantities, value_of = OBJECTIVES[objective]
    assignment = assignment.detach().requires_grad_()
    usable = torch.where(sim.counts > 1, sim.counts, 0.0)  # rows without a positive are left out
    weights = (torch.where(usable[sim.own] > 0, 1.0, 0.0)[:, None] * assignment[sim.own])[..., None]
    rows = torch.stack([quantity(sim, assignment) for quantity in quantities], dim=-1)
    local_sum = (weights * rows).sum(0)
    total_sum = dist.all_reduce_(local_sum.detach().clone()).requires_grad_()
    averages = total_sum / (usable @ assignment + _FLOOR)[:, None]
    value = value_of(averages) + balance * entropy(sim.counts @ assignment / sim.counts.sum())
    # What every rank computes alike is differentiated once; only the way through the rows of a
    # rank is summed over the ranks.
    to_sum, shared = torch.autograd.grad(-value, (total_sum, assignment))
    (local,) = torch.autograd.grad(local_sum, assignment, to_sum)
    gradient = dist.all_reduce_(local) + shared
    return StepResult(float(value.detach()), averages.detach(), gradient)
