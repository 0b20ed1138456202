# SPDX-License-Identifier: MIT
"""The one look at the training set: which subset is easy, and where it looks.

All ranks call it together, look through rank 0's BatchNorm statistics, share the images and end
with equal results. N images of the set, C identities, K subsets, R ranks.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.data.training.clean_images import clean_images
from arcface_fair.data.training.dataset import to_input
from arcface_fair.errors import UserError
from arcface_fair.plugin.session import Session
from arcface_fair.run.batchnorm import rank0_statistics
from contrast_plugin.config import ContrastSettings
from contrast_plugin.found import Contrast, decide
from contrast_plugin.gap import Gaps, gap_positions, subset_gaps
from contrast_plugin.maps import SubsetMaps, map_positions, subset_maps
from contrast_plugin.source import Subsets


def find_contrast(
    session: Session, settings: ContrastSettings, subsets: Subsets, seed: int
) -> tuple[Contrast, SubsetMaps]:
    """Gap, gate, maps and mask of one partition. Raises UserError for what images raise."""
    draws = np.random.default_rng((seed, 0xC0))
    identities = np.asarray(session.run.dataset.identities)
    embedded = gap_positions(identities, subsets.of_class, settings.gap_identities, draws)
    shown = map_positions(identities, subsets.of_class, settings.maps, draws)
    with rank0_statistics(session.backbone):
        gaps = _gaps(session, embedded, subsets)
        maps = _maps(session, settings, shown, subsets)
    easy = gaps.easy if gaps is not None else 0
    return decide(settings, subsets, gaps, maps.contrast(easy), maps.images), maps


def _gaps(session: Session, positions: np.ndarray, subsets: Subsets) -> Gaps | None:
    embeddings, labels = _embedded(session, positions)
    return subset_gaps(embeddings, labels, subsets.of_class)


def _embedded(session: Session, positions: np.ndarray) -> tuple[Tensor, Tensor]:
    """Unit embeddings [n, D] and labels [n] of the images at ``positions``, on all ranks."""
    dim = session.head.weight.shape[1]
    rows = torch.zeros(len(positions), dim, device=session.run.device)
    labels = torch.zeros(len(positions), dtype=torch.int64, device=session.run.device)
    own = np.array_split(np.arange(len(positions)), dist.world_size())[dist.rank()]
    batches = _in_batches(own, session.run.batch_size)
    error = None
    try:
        with closing(_clean(session, [positions[batch] for batch in batches], "gaps")) as images:
            for batch, (faces, who) in zip(batches, images, strict=True):
                place = torch.from_numpy(batch).to(session.run.device)
                rows[place] = normalize(session.backbone(to_input(faces)).float())
                labels[place] = who
    except UserError as found:
        error = found
    dist.raise_together(error)
    dist.all_reduce_(rows)
    dist.all_reduce_(labels)
    if not bool(rows.isfinite().all()):
        raise UserError(
            "the embeddings of training images are not finite, expected numbers; the network has "
            "diverged, lower the learning rate or go back to an earlier checkpoint"
        )
    return rows, labels


def _maps(
    session: Session, settings: ContrastSettings, positions: np.ndarray, subsets: Subsets
) -> SubsetMaps:
    """Every rank its share of the images, filled up with rows that do not count."""
    share = math.ceil(len(positions) / dist.world_size())
    own = positions[dist.rank() * share : (dist.rank() + 1) * share]
    rows = np.concatenate([own, np.repeat(positions[:1], share - len(own))])
    faces, labels = _loaded(session, rows)
    of_class = torch.from_numpy(subsets.of_class).to(session.run.device).long()
    numbers = of_class[labels]
    numbers[numbers == 255] = -1
    numbers[len(own) :] = -1
    with _without_groups(session):
        return subset_maps(
            session.backbone, session.head, to_input(faces), labels, numbers,
            num_subsets=len(subsets.names), smooth=settings.smooth, measure=settings.measure,
            batch_size=session.run.batch_size,
        )  # fmt: skip


def _loaded(session: Session, positions: np.ndarray) -> tuple[Tensor, Tensor]:
    """The images uint8 [n, 3, H, W] and labels [n], read before any rank may wait for another."""
    faces, labels, error = [], [], None
    batches = [positions[rows] for rows in _in_batches(np.arange(len(positions)), 64)]
    try:
        with closing(_clean(session, batches, "maps")) as images:
            for batch, who in images:
                faces.append(batch)
                labels.append(who)
    except UserError as found:
        error = found
    dist.raise_together(error)
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
