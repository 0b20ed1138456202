# SPDX-License-Identifier: MIT
"""The settings of partition learning, each checked by name."""

from __future__ import annotations

from dataclasses import dataclass

from arcface_fair.errors import UserError
from invreg_plugin.assignments import check_subsets
from invreg_plugin.objective import OBJECTIVES


@dataclass(frozen=True, kw_only=True)
class PartitionSettings:
    """How a partition is learned; every field is checked, the message names the field."""

    subsets: int = 2  # K, at least 2
    objective: str = "paper"  # paper | rex | irmv1
    seed: int = 0  # decides M's start and every batch
    visits: int = 100  # most passes over the identities; one updates each identity once
    min_steps: int = 200  # few identities: more passes until so many steps are made
    identities_per_batch: int = 128
    images_per_identity: int = 4
    learning_rate: float = 0.5  # Adam; times 0.2 at 20, 40, 60 and 80 % of the steps
    balance: float = 1.0  # weight of the entropy of the subset sizes; 0 turns it off
    temperature: float = 0.3  # of the cosine similarities
    tolerance: float = 0.001  # share of identities that may still change in a quiet pass
    patience: int = 5  # quiet passes after which learning stops; 0 = never early
    projection: bool = False  # train a D-512-128 head first and partition its outputs

    def __post_init__(self) -> None:
        check_subsets(self.subsets, self.subsets if isinstance(self.subsets, int) else 0)
        if self.objective not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise UserError(f"objective is {self.objective!r}, expected one of {known}; pick one")
        self._whole("seed", 0)
        self._whole("visits", 1)
        self._whole("min_steps", 1)
        self._whole("identities_per_batch", 2)
        self._whole("images_per_identity", 2)
        self._whole("patience", 0)
        self._between("learning_rate", 1e-6, 100.0)
        self._between("balance", 0.0, 1e6)
        self._between("temperature", 0.02, 100.0)
        self._between("tolerance", 0.0, 1.0)

        if not isinstance(self.projection, bool):
            raise UserError(
                f"projection is {self.projection!r}, expected True or False; correct the setting"
            )

    def _whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise UserError(
                f"{name} is {value!r}, expected a whole number from {least}; correct the setting"
            )

    def _between(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise UserError(
                f"{name} is {value!r}, expected a number in {low:g}..{high:g}; correct the setting"
            )
