# SPDX-License-Identifier: MIT
"""Invariance penalties over the subsets of learned partitions, first order and on shards.

N rows of the gathered batch, P partitions, K subsets of a partition (the largest count).
Means are over all rows of the global batch in a subset, then over the subsets present in each
partition, then over the partitions with any row assigned; none at all gives an exact 0 that
still has a graph. Inputs are global and equal on all ranks, so nothing is reduced here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.plugin.context import LossStep
from invreg_plugin.state import Partitions


def invariance(kind: str, partitions: Partitions) -> Callable[[LossStep], Tensor]:
    """The penalty of eq. (2) (``irmv1``) or eq. (3) (``rex``) over all learned partitions.

    With no partition learned yet it is an exact 0 with a graph.
    """

    def penalty(step: LossStep) -> Tensor:
        subsets = partitions.of_batch(step.batch_labels)
        largest = partitions.largest
        if kind == "irmv1":
            return irmv1(step.ce, step.entropy, subsets, largest)
        return rex(step.ce, subsets, largest)

    return penalty


def subset_risk_correction(partitions: Partitions) -> Callable[[LossStep], Tensor]:
    """What turns the pooled risk mean(ce) into the paper's mean over subsets of their risks.

    0 while no partition is learned.
    """

    def correction(step: LossStep) -> Tensor:
        subsets = partitions.of_batch(step.batch_labels)
        if subsets.shape[0] == 0 or not bool((subsets >= 0).any()):
            return step.ce.sum() * 0
        return subset_risk(step.ce, subsets, partitions.largest) - step.ce.mean()

    return correction


def irmv1(ce: Tensor, entropy: Tensor, subsets: Tensor, num_subsets: int) -> Tensor:
    """IRMv1 penalty (INV-REG eq. 2; arXiv 1907.02893), a scalar >= 0.

        penalty = mean_P mean_k G_k^2,   G_k = mean_{i in k} (ce_i - ent_i)

    because d ce_i(w z_i) / dw at w = 1 is E_p[z_i] - z_i[y_i] = ce_i - ent_i: no second
    backward. ``ce``, ``entropy`` [N] of the head; ``subsets`` int [P, N] in 0..num_subsets-1,
    -1 = none. Absent subsets are left out (the release counts them as 0). Raises UserError
    where shapes or ids do not fit.
    """
    members = _members(ce, subsets, num_subsets)
    counts = members.sum(-1)
    slopes = members @ (ce - entropy) / counts.clamp_min(1)
    present = (counts > 0).to(slopes.dtype)
    per_partition = (slopes.square() * present).sum(1) / present.sum(1).clamp_min(1)
    return _mean_over_partitions(per_partition, present)


def rex(ce: Tensor, subsets: Tensor, num_subsets: int) -> Tensor:
    """V-REx penalty (INV-REG eq. 3; arXiv 2003.00688), a scalar >= 0.

        penalty = mean_P Var_k( mean_{i in k} ce_i ),   unbiased over the present subsets

    A partition with fewer than two subsets in the batch counts 0. Arguments and errors as in
    :func:`irmv1`.
    """
    members = _members(ce, subsets, num_subsets)
    counts = members.sum(-1)
    risks = members @ ce / counts.clamp_min(1)
    present = (counts > 0).to(risks.dtype)
    size = present.sum(1)
    centre = (risks * present).sum(1) / size.clamp_min(1)
    squares = ((risks - centre[:, None]).square() * present).sum(1)
    return _mean_over_partitions(squares / (size - 1).clamp_min(1), present)


def subset_risk(ce: Tensor, subsets: Tensor, num_subsets: int) -> Tensor:
    """The paper's first term (INV-REG eq. 2 and 6), a scalar.

        risk = mean_P mean_k mean_{i in k} ce_i,   over the present subsets

    in place of the release's pooled mean(ce). Arguments and errors as in :func:`irmv1`.
    """
    members = _members(ce, subsets, num_subsets)
    counts = members.sum(-1)
    risks = members @ ce / counts.clamp_min(1)
    present = (counts > 0).to(risks.dtype)
    per_partition = (risks * present).sum(1) / present.sum(1).clamp_min(1)
    return _mean_over_partitions(per_partition, present)


def subset_means(values: Tensor, subsets: Tensor, num_subsets: int) -> Tensor:
    """The mean of ``values`` [N] over the rows of every subset, [P, K]; NaN where there is none.

    ``subsets`` as in :func:`irmv1`, unchecked: it is for curves and must not wait for the device.
    """
    members = _one_hot(values, subsets, num_subsets)
    return members @ values / members.sum(-1)


def _mean_over_partitions(per_partition: Tensor, present: Tensor) -> Tensor:
    assigned = (present.sum(1) > 0).to(per_partition.dtype)
    return (per_partition * assigned).sum() / assigned.sum().clamp_min(1)


def _members(ce: Tensor, subsets: Tensor, num_subsets: int) -> Tensor:
    """[P, K, N]: 1 where the row belongs to the subset."""
    if num_subsets < 2:
        raise UserError(f"num_subsets is {num_subsets}, expected at least 2; use 2, as INV-REG")
    if subsets.dim() != 2 or subsets.shape[1] != len(ce):
        raise UserError(
            f"subsets have shape {list(subsets.shape)}, expected [partitions, {len(ce)}]; give "
            "one subset id per row of the gathered batch"
        )
    if subsets.numel() and bool(((subsets < -1) | (subsets >= num_subsets)).any()):
        raise UserError(
            f"subsets hold ids {int(subsets.min())}..{int(subsets.max())}, expected "
            f"-1..{num_subsets - 1}; raise num_subsets to the largest partition's count"
        )
    return _one_hot(ce, subsets, num_subsets)


def _one_hot(values: Tensor, subsets: Tensor, num_subsets: int) -> Tensor:
    ids = torch.arange(num_subsets, device=values.device)
    return (subsets.to(values.device)[:, None, :] == ids[None, :, None]).to(values.dtype)
