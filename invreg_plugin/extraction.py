# SPDX-License-Identifier: MIT
"""Features of the whole training set by the current network, every rank its share.

All ranks look through rank 0's BatchNorm statistics, so that the features come from one network;
images are not augmented. N images, D embedding size.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.data.training.clean_images import clean_images
from arcface_fair.data.training.dataset import to_input
from arcface_fair.plugin.session import Session
from arcface_fair.run.embed import rank0_statistics
from invreg_plugin.features import FeatureStore, fingerprint


def runs_of_neighbours(positions: np.ndarray, longest: int) -> list[np.ndarray]:
    """``positions``, in order, cut into runs of consecutive ones, none longer than ``longest``."""
    runs = np.split(positions, np.flatnonzero(np.diff(positions) != 1) + 1)
    return [run[start : start + longest] for run in runs for start in range(0, len(run), longest)]


def extract_features(session: Session, path: Path, *, flip_average: bool) -> FeatureStore:
    """L2-normalised features [N, D] of all images, in a store at ``path``.

    An interrupted extraction by the same network goes on where it stopped. Call it on all ranks:
    nobody returns before all rows are there, and all raise what one of them meets (UserError: a
    full disk, a corrupt image, features that are not finite). ``flip_average`` adds the mirror
    image's feature.
    """
    dataset = session.run.dataset
    with rank0_statistics(session.backbone):
        tensors = [*session.backbone.parameters(), *session.backbone.buffers()]
        owner = fingerprint(tensors, dataset.num_images, dataset.describe(0), flip_average)
        dim = session.head.weight.shape[1]
        store = FeatureStore.create(path, dataset.num_images, dim, owner)
        share = np.array_split(np.arange(dataset.num_images), dist.world_size())[dist.rank()]
        # No rank waits for one whose disk is full.
        with dist.failing_together():
            if len(share):
                missing = store.missing(int(share[0]), int(share[-1]) + 1)
                _fill(session, store, missing, flip_average)
    return store


def _fill(session: Session, store: FeatureStore, positions: np.ndarray, flip_average: bool) -> None:
    runs = runs_of_neighbours(positions, session.run.batch_size)
    images = clean_images(
        session.run.dataset, runs, num_workers=session.run.num_workers,
        skip_bad_images=session.run.skip_bad_images, device=session.run.device, title="features",
    )  # fmt: skip
    with closing(images):
        # The plan, not the batch, says where rows belong: a bad image's row names its stand-in.
        for run, (batch, _) in zip(runs, images, strict=True):
            faces = to_input(batch)
            features = session.backbone(faces).float()
            if flip_average:
                features = features + session.backbone(faces.flip(3)).float()
            store.write(int(run[0]), normalize(features))
