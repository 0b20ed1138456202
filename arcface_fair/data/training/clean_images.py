# SPDX-License-Identifier: MIT
"""Images of a training set at chosen positions, as they are: no flip, no shift, in order.

For whoever looks at the data between epochs. B images per batch.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from arcface_fair import dist
from arcface_fair.data.training.dataset import FaceDataset, TrainingImages
from arcface_fair.data.training.loader import make_loader


class ListedBatches:
    """The batches that ``batches`` lists: int arrays of positions, each one batch."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self.batches:
            yield [(0, int(position)) for position in batch]


def clean_images(
    dataset: FaceDataset,
    batches: Sequence[np.ndarray],
    *,
    num_workers: int,
    skip_bad_images: bool,
    device: torch.device,
    title: str,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Yields images uint8 [B, 3, 112, 112] and labels int64 [B] of every listed batch.

    Rank 0 shows a progress bar under ``title``.
    With ``skip_bad_images`` a bad image's row holds another image of its batch, with that one's
    label. Raises UserError for what reading raises; workers end when the iterator is closed.
    """
    images = TrainingImages(dataset, flip=False, skip_bad_images=skip_bad_images)
    loader = make_loader(images, ListedBatches(batches), num_workers, device)
    try:
        hidden = dist.rank() != 0
        for batch in tqdm(loader, desc=title, unit="batch", disable=hidden, leave=False):
            yield batch.images, batch.labels
    finally:
        loader.close()
