# SPDX-License-Identifier: MIT
"""The settings of INV-REG: ``config.invreg = dict(...)`` in a run's config."""

from __future__ import annotations

from dataclasses import dataclass

from arcface_fair.errors import UserError
from arcface_fair.settings import check_choice, check_range
from invreg_plugin.objective import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class InvRegSettings:
    """When identities are partitioned, how, and what the penalty costs.

    The names of variants: ``paper`` is what the paper prints, ``released`` what the authors'
    code does where the two differ.
    """

    weight: float = 0.05  # lambda: factor of the penalty; 0 turns it off, partitions stay
    weight_schedule: str = "constant"  # constant | released: weight * 0.2 * 1.09^(epoch - 5)
    penalty: str = "irmv1"  # irmv1 | rex: what is made small across the subsets
    risk: str = "pooled"  # pooled: mean over rows (released) | subsets: mean over subsets (paper)
    stages: tuple = (1, 11, 17)  # epochs, from 0, before which one more partition is made
    subsets: int | tuple = 2  # K, at least 2; one number, or one per stage
    partition: str = "learned"  # learned | random (control) | table (ground truth)
    attribute: str | None = None  # the group table's column for "table"; None: the first
    objective: str = "paper"  # what learning maximises: paper | rex | irmv1
    projection: bool = False  # learn on a small projection head's outputs, as released
    flip_average: bool = False  # features are the mean over the image and its mirror image
    seed: int | None = None  # of the partitions; None: the run's seed

    def __post_init__(self) -> None:
        """Raises UserError for the first value that is out of range."""
        check_range("invreg.weight", self.weight, 0)
        check_choice("invreg.weight_schedule", self.weight_schedule, ("constant", "released"))
        check_choice("invreg.penalty", self.penalty, ("irmv1", "rex"))
        check_choice("invreg.risk", self.risk, ("pooled", "subsets"))
        check_choice("invreg.partition", self.partition, ("learned", "random", "table"))
        check_choice("invreg.objective", self.objective, tuple(OBJECTIVES))
        for stage in self.stages:
            check_range("invreg.stages", stage, 0)
        if list(self.stages) != sorted(set(self.stages)):
            raise UserError(
                f"invreg.stages is {self.stages}, expected epochs in rising order, each once; "
                "write for example (1, 11, 17)"
            )
        if isinstance(self.subsets, tuple) and len(self.subsets) != len(self.stages):
            raise UserError(
                f"invreg.subsets lists {len(self.subsets)} numbers for {len(self.stages)} stages; "
                "give one number, or one per stage"
            )
        for stage in range(len(self.stages)):
            check_range("invreg.subsets", self.subsets_at(stage), 2, 254)

    def subsets_at(self, stage: int) -> int:
        """K of the stage with index ``stage``."""
        return self.subsets[stage] if isinstance(self.subsets, tuple) else self.subsets

    def weight_at(self, epoch: int) -> float:
        """Lambda during ``epoch`` (from 0)."""
        if self.weight_schedule == "constant":
            return self.weight
        return self.weight * 0.2 * 1.09 ** (epoch - 5)
