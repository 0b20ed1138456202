# SPDX-License-Identifier: MIT
"""The settings of INV-REG: ``config.invreg = dict(...)`` in a run's config."""

from __future__ import annotations

from dataclasses import dataclass

from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import MAX_SUBSETS
from arcface_fair.plugin.settings import check_choice, check_range
from invreg_plugin.objective import OBJECTIVES

PARTITIONS = ("learned", "shuffled", "random", "table")


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
    # learned | shuffled (control: learned, then members drawn anew for the same subset sizes) |
    # random (control: equal sizes) | table (ground truth); one name, or one per stage:
    # ("table", "learned", "learned") puts ground truth beside
    partition: str | tuple = "learned"
    attribute: str | None = None  # the group table's column for "table"; None: the first
    objective: str = "paper"  # what learning maximises: paper | rex | irmv1
    visits: int = 100  # most passes over the identities in learning; weak attributes need more
    min_steps: int = 200  # few identities: more passes until so many steps are made
    identities_per_batch: int = 128  # of a step of learning
    images_per_identity: int = 4  # of such a batch, drawn anew each time
    learning_rate: float = 0.5  # of the scores' Adam; times 0.2 at 20, 40, 60, 80 % of the steps
    balance: float = 1.0  # weight of the entropy of the subset sizes; 0 turns it off
    temperature: float = 0.3  # of the cosine similarities
    tolerance: float = 0.001  # share of identities that may still change in a quiet pass
    patience: int = 5  # quiet passes after which learning stops; 0: never early
    projection: bool = False  # learn on a small projection head's outputs, as released
    flip_average: bool = False  # features are the mean over the image and its mirror image
    seed: int | None = None  # of the partitions; None: the run's seed

    def __post_init__(self) -> None:
        """Raises UserError for the first value that is out of range."""
        check_range("invreg.weight", self.weight, 0)
        check_choice("invreg.weight_schedule", self.weight_schedule, ("constant", "released"))
        check_choice("invreg.penalty", self.penalty, ("irmv1", "rex"))
        check_choice("invreg.risk", self.risk, ("pooled", "subsets"))
        check_choice("invreg.objective", self.objective, tuple(OBJECTIVES))
        for stage in self.stages:
            check_range("invreg.stages", stage, 0)
        if list(self.stages) != sorted(set(self.stages)):
            raise UserError(
                f"invreg.stages is {self.stages}, expected epochs in rising order, each once; "
                "write for example (1, 11, 17)"
            )
        for name in ("subsets", "partition"):
            given = getattr(self, name)
            if isinstance(given, tuple) and len(given) != len(self.stages):
                raise UserError(
                    f"invreg.{name} lists {len(given)} values for {len(self.stages)} stages; "
                    "give one value, or one per stage"
                )
        for stage in range(len(self.stages)):
            check_range("invreg.subsets", self.subsets_at(stage), 2, MAX_SUBSETS)
            check_choice("invreg.partition", self.partition_at(stage), PARTITIONS)
        check_range("invreg.visits", self.visits, 1)
        check_range("invreg.min_steps", self.min_steps, 1)
        check_range("invreg.patience", self.patience, 0)
        check_range("invreg.learning_rate", self.learning_rate, 1e-6, 100)
        check_range("invreg.balance", self.balance, 0, 1e6)
        # e^(1 / temperature) of a batch's rows is summed in float32.
        check_range("invreg.temperature", self.temperature, 0.02, 100)
        check_range("invreg.tolerance", self.tolerance, 0, 1)
        check_range("invreg.identities_per_batch", self.identities_per_batch, 2)
        check_range("invreg.images_per_identity", self.images_per_identity, 2)

    def partition_at(self, stage: int) -> str:
        """Where the partition of the stage with index ``stage`` comes from."""
        return self.partition[stage] if isinstance(self.partition, tuple) else self.partition

    def subsets_at(self, stage: int) -> int:
        """K of the stage with index ``stage``."""
        return self.subsets[stage] if isinstance(self.subsets, tuple) else self.subsets

    def weight_at(self, epoch: int) -> float:
        """Lambda during ``epoch`` (from 0)."""
        if self.weight_schedule == "constant":
            return self.weight
        return self.weight * 0.2 * 1.09 ** (epoch - 5)
