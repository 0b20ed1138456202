# SPDX-License-Identifier: MIT
"""What one look at the training set found: the map, and whether it may act.

C identities, K subsets, H W height and width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from contrast_plugin.config import ContrastSettings
from contrast_plugin.gap import Gaps
from contrast_plugin.source import Subsets


@dataclass(frozen=True)
class Contrast:
    """The same on every rank, and all that a checkpoint keeps.

    map: float32 [H, W], D.  subset: uint8 [C], 255 = none.  gap: mean gap by subset, NaN = none.
    difference, doubt: what the gate looked at, and its standard error; NaN where it is unknown.
    easy: the subset whose images are erased.  acts: whether they are.  why: in words.
    """

    map: Tensor
    subset: Tensor
    names: tuple[str, ...]
    gap: tuple[float, ...]
    difference: float
    doubt: float
    easy: int
    acts: bool
    why: str
    digest: str

    @property
    def mask(self) -> Tensor:
        """bool [H, W]: the pixels that are replaced, D > 0."""
        return self.map > 0

    def as_state(self) -> dict[str, Any]:
        """Tensors, numbers and words only."""
        return {
            "map": self.map.cpu(), "subset": self.subset.cpu(), "names": list(self.names),
            "gap": list(self.gap), "difference": self.difference, "doubt": self.doubt,
            "easy": self.easy, "acts": self.acts, "why": self.why, "digest": self.digest,
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any], device: torch.device) -> Contrast:
        """Takes back what `as_state` gave."""
        return cls(
            map=state["map"].to(device), subset=state["subset"].to(device),
            names=tuple(state["names"]), gap=tuple(state["gap"]),
            difference=float(state["difference"]), doubt=float(state["doubt"]),
            easy=int(state["easy"]), acts=bool(state["acts"]), why=str(state["why"]),
            digest=str(state["digest"]),
        )  # fmt: skip


def decide(
    settings: ContrastSettings, subsets: Subsets, gaps: Gaps | None, map_: Tensor, images: Tensor
) -> Contrast:
    """Whether to act: two subsets with enough images, a gap at the gate, a map that is not flat.

    ``images`` int64 [K]: how many of each subset the map was drawn from.
    """
    nan = (math.nan,) * len(subsets.names)
    gap = gaps.mean if gaps is not None else nan
    acts, why = _verdict(settings, subsets, gaps, map_, images.tolist())
    return Contrast(
        map=map_,
        subset=torch.from_numpy(subsets.of_class).to(map_.device),
        names=subsets.names,
        gap=gap,
        difference=gaps.difference if gaps is not None else math.nan,
        doubt=gaps.doubt if gaps is not None else math.nan,
        easy=gaps.easy if gaps is not None else 0,
        acts=acts,
        why=why,
        digest=subsets.digest,
    )


def _verdict(
    settings: ContrastSettings, subsets: Subsets, gaps: Gaps | None, map_: Tensor, images: list[int]
) -> tuple[bool, str]:
    if gaps is None:
        return False, "the partition has fewer than two subsets whose images can be compared"
    for name, count in zip(subsets.names, images, strict=True):
        if 0 < count < settings.maps:
            return False, (
                f"subset {name} has {count} images, fewer than contrast.maps = {settings.maps}"
            )
    if gaps.difference < settings.gate:
        return False, f"the gap difference is below the gate of {settings.gate:.2f}"
    if not bool((map_ > 0).any()):
        return False, "the maps of the subsets do not differ"
    return True, f"the gap difference is at or above the gate of {settings.gate:.2f}"


def near_the_gate(contrast: Contrast, gate: float) -> bool:
    """Whether another draw of identities could have decided otherwise (two standard errors)."""
    return gate > 0 and abs(contrast.difference - gate) < 2 * contrast.doubt
