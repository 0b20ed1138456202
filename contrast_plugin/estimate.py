# SPDX-License-Identifier: MIT
"""The one look at the training set: which subset is easy, where it looks, and whether to act.

All ranks call it together, look through rank 0's BatchNorm statistics, share the images and end
with equal results. N images of the set, C identities, K subsets, R ranks, H W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.data.training.clean_images import clean_images
from arcface_fair.data.training.dataset import to_input
from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import NOT_ASSIGNED, Partition
from arcface_fair.plugin.session import Session
from arcface_fair.run.embed import rank0_statistics
from contrast_plugin.config import ContrastSettings
from contrast_plugin.gap import Gaps, gap_positions, subset_gaps
from contrast_plugin.maps import SubsetMaps, map_positions, subset_maps


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


def find_contrast(
    session: Session, settings: ContrastSettings, subsets: Partition, seed: int
) -> tuple[Contrast, SubsetMaps]:
    """Gap, gate, maps and mask of one partition. Raises UserError for what images raise."""
    draws = np.random.default_rng((seed, 0xC0))
    identities = np.asarray(session.run.dataset.identities)
    embedded = gap_positions(identities, subsets.subset, settings.gap_identities, draws)
    shown = map_positions(identities, subsets.subset, settings.maps, draws)
    with rank0_statistics(session.backbone):
        gaps = _gaps(session, embedded, subsets)
        maps = _maps(session, settings, shown, subsets)
    easy = gaps.easy if gaps is not None else 0
    return decide(settings, subsets, gaps, maps.contrast(easy), maps.images), maps


def _gaps(session: Session, positions: np.ndarray, subsets: Partition) -> Gaps | None:
    embeddings, labels = _embedded(session, positions)
    return subset_gaps(embeddings, labels, subsets.subset)


def _embedded(session: Session, positions: np.ndarray) -> tuple[Tensor, Tensor]:
    """Unit embeddings [n, D] and labels [n] of the images at ``positions``, on all ranks."""
    dim = session.head.weight.shape[1]
    rows = torch.zeros(len(positions), dim, device=session.run.device)
    labels = torch.zeros(len(positions), dtype=torch.int64, device=session.run.device)
    own = np.array_split(np.arange(len(positions)), dist.world_size())[dist.rank()]
    batches = _in_batches(own, session.run.batch_size)
    with (
        dist.failing_together(),
        closing(_clean(session, [positions[batch] for batch in batches], "gaps")) as images,
    ):
        for batch, (faces, who) in zip(batches, images, strict=True):
            place = torch.from_numpy(batch).to(session.run.device)
            rows[place] = normalize(session.backbone(to_input(faces)).float())
            labels[place] = who
    dist.all_reduce_(rows)
    dist.all_reduce_(labels)
    if not bool(rows.isfinite().all()):
        raise UserError(
            "the embeddings of training images are not finite, expected numbers; the network has "
            "diverged, lower the learning rate or go back to an earlier checkpoint"
        )
    return rows, labels


def _maps(
    session: Session, settings: ContrastSettings, positions: np.ndarray, subsets: Partition
) -> SubsetMaps:
    """Every rank its share of the images, filled up with rows that do not count."""
    share = math.ceil(len(positions) / dist.world_size())
    own = positions[dist.rank() * share : (dist.rank() + 1) * share]
    rows = np.concatenate([own, np.repeat(positions[:1], share - len(own))])
    faces, labels = _loaded(session, rows)
    of_class = torch.from_numpy(subsets.subset).to(session.run.device).long()
    numbers = of_class[labels]
    numbers[numbers == NOT_ASSIGNED] = -1
    numbers[len(own) :] = -1
    with _without_groups(session):
        return subset_maps(
            session.backbone, session.head, to_input(faces), labels, numbers,
            num_subsets=len(subsets.names), smooth=settings.smooth, measure=settings.measure,
            batch_size=session.run.batch_size,
        )  # fmt: skip


def _loaded(session: Session, positions: np.ndarray) -> tuple[Tensor, Tensor]:
    """The images uint8 [n, 3, H, W] and labels [n], read before any rank may wait for another."""
    faces, labels = [], []
    batches = [positions[rows] for rows in _in_batches(np.arange(len(positions)), 64)]
    with dist.failing_together(), closing(_clean(session, batches, "maps")) as images:
        for batch, who in images:
            faces.append(batch)
            labels.append(who)
    return torch.cat(faces), torch.cat(labels)


def _clean(
    session: Session, batches: Sequence[np.ndarray], title: str
) -> Generator[tuple[Tensor, Tensor], None, None]:
    return clean_images(
        session.run.dataset, batches, num_workers=session.run.num_workers,
        skip_bad_images=session.run.skip_bad_images, device=session.run.device, title=title,
    )  # fmt: skip


def _in_batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@contextmanager
def _without_groups(session: Session) -> Iterator[None]:
    """The head's groups are those of the last step; no margin asks for them here."""
    kept, session.head.groups = session.head.groups, None
    try:
        yield
    finally:
        session.head.groups = kept


def decide(
    settings: ContrastSettings, subsets: Partition, gaps: Gaps | None, map_: Tensor, images: Tensor
) -> Contrast:
    """Whether to act: two subsets with enough images, a gap at the gate, a map that is not flat.

    ``images`` int64 [K]: how many of each subset the map was drawn from.
    """
    nan = (math.nan,) * len(subsets.names)
    gap = gaps.mean if gaps is not None else nan
    acts, why = _verdict(settings, subsets, gaps, map_, images.tolist())
    return Contrast(
        map=map_,
        subset=torch.from_numpy(subsets.subset).to(map_.device),
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
    settings: ContrastSettings,
    subsets: Partition,
    gaps: Gaps | None,
    map_: Tensor,
    images: list[int],
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
