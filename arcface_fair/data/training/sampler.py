# SPDX-License-Identifier: MIT
"""Which images make up which batch: the same for every number of processes.

One permutation per (seed, epoch); global batch b is its b-th run of B * R positions, and rank r
takes the r-th contiguous part, so that gathered rows lie as one process would have them.
B images per rank, R ranks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from arcface_fair.errors import UserError


class EpochBatches:
    """Batch sampler: yields one rank's batches, each a list of B pairs (epoch, position).

    ``len`` is the number of steps of a whole epoch; images that do not fill a global batch wait
    for another epoch's permutation. Holds no random state: an epoch can be entered anywhere.
    Raises UserError if there are fewer images than one global batch takes.
    """

    def __init__(
        self, num_images: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        assert 0 <= rank < world_size
        if batch_size < 1 or num_images < batch_size * world_size:
            raise UserError(
                f"{num_images} images do not fill a batch of {batch_size} on each of "
                f"{world_size} processes ({batch_size * world_size} images); set batch_size to "
                f"at least 1 and at most {num_images // world_size}"
            )
        self.num_images, self.batch_size, self.seed = num_images, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.epoch, self.first_step = 0, 0

    def __len__(self) -> int:
        return self.num_images // (self.batch_size * self.world_size)

    def set_epoch(self, epoch: int, first_step: int = 0) -> None:
        """What the next iteration yields: ``epoch``, from its step ``first_step`` (0-based)."""
        assert epoch >= 0
        assert 0 <= first_step <= len(self)
        self.epoch, self.first_step = epoch, first_step

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch = self.epoch
        positions = np.random.default_rng((self.seed, epoch)).permutation(self.num_images)
        for step in range(self.first_step, len(self)):
            start = (step * self.world_size + self.rank) * self.batch_size
            batch = positions[start : start + self.batch_size].tolist()
            yield [(epoch, position) for position in batch]
