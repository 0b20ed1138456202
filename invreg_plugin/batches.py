# SPDX-License-Identifier: MIT
"""Draws class-balanced batches of image positions, for any number of images and identities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from arcface_fair.errors import UserError


@dataclass(frozen=True)
class Batch:
    """One batch: the identities it holds and their images, grouped by identity.

    identities [P] int64 (class indices, each once), positions [N] int64 (rows of the feature
    store), slots [N] int64 (0..P-1, never falling): positions[i] shows identities[slots[i]].
    """

    identities: np.ndarray
    positions: np.ndarray
    slots: np.ndarray


class ClassBalancedBatches:
    """Passes over the identities that have images, each identity once per pass.

    A batch holds ``identities_per_batch`` identities (the batches of a pass differ by at most one)
    with ``images_per_identity`` random images each, fewer where an identity has fewer. Everything
    is a function of the seed and the pass, so that ranks draw alike without talking.
    """

    def __init__(
        self,
        identities: np.ndarray,
        num_classes: int,
        identities_per_batch: int,
        images_per_identity: int,
        seed: int,
    ):
        labels = _checked(identities, num_classes)
        # Stable, so that the order of the record alone decides; int64 [N] is 8 bytes an image.
        self._order = np.argsort(labels, kind="stable")
        self.images = np.bincount(labels, minlength=num_classes)  # [C] images of each identity
        self._first = np.concatenate([[0], np.cumsum(self.images)[:-1]])
        self.present = np.flatnonzero(self.images)  # identities with at least one image
        self.batches_per_pass = -(-len(self.present) // identities_per_batch)
        self._images_per_identity = images_per_identity
        self._seed = seed

    def one_pass(self, index: int) -> Iterator[Batch]:
        """The batches of pass ``index``, in order."""
        generator = np.random.default_rng([self._seed, index])
        shuffled = generator.permutation(self.present)
        for chosen in np.array_split(shuffled, self.batches_per_pass):
            yield self._batch(chosen, generator)

    def _batch(self, chosen: np.ndarray, generator: np.random.Generator) -> Batch:
        sizes = np.minimum(self.images[chosen], self._images_per_identity)
        slots = np.repeat(np.arange(len(chosen)), sizes)
        within = np.arange(len(slots)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        # Distinct images without a permutation per identity: a random start and a random stride
        # that has no common divisor with the number of images walks each image once.
        counts = self.images[chosen]
        start = generator.integers(0, counts)
        stride = _coprime_strides(generator.integers(0, counts), counts)
        offset = (start[slots] + within * stride[slots]) % counts[slots]
        positions = self._order[self._first[chosen][slots] + offset]
        return Batch(chosen, positions, slots)


def _coprime_strides(wanted: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The wanted strides, moved up to the next one without a common divisor with the count."""
    strides = np.maximum(wanted, 1)
    while (shared := np.gcd(strides, counts) != 1).any():
        strides = np.where(shared, strides + 1, strides)
    return strides


def _checked(identities: np.ndarray, num_classes: int) -> np.ndarray:
    labels = np.asarray(identities)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"identities have shape {labels.shape} and dtype {labels.dtype}, expected one whole "
            "number per image; pass the record's labels as int64 [N]"
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < num_classes):
        raise UserError(
            f"identities run from {labels.min()} to {labels.max()}, expected "
            f"0..{num_classes - 1}; set num_classes to the number of identities of the record"
        )
    return labels
