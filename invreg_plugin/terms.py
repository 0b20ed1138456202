# SPDX-License-Identifier: MIT
"""What INV-REG adds to the loss of a step, as functions of `LossStep`.

N rows of the global batch, P partitions in force.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from arcface_fair.plugin.context import LossStep
from invreg_plugin.penalty import irmv1, rex, subset_risk
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
