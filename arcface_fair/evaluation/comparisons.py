# SPDX-License-Identifier: MIT
"""The comparisons of one group: distances, same or not, and who takes part, checked once.

P pairs, D embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.verification import Bools, Floats, checked_pairs, squared_distances

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Comparisons:
    """Comparisons of one group.

    distances: float64 [P], squared Euclidean distances of unit embeddings, 0..4.
    same: bool [P], true where a pair shows one person.
    people: int64 [P, 2], who is on either side, 0..n-1; None where nobody knows, which makes
    every side of every impostor pair, and every genuine pair, a person of its own.
    notes: what is odd about the set, in words, for the report.

    Raises UserError if ten folds cannot be judged, or people contradict ``same``.
    """

    distances: Floats
    same: Bools
    people: Ints | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        distances, same = checked_pairs(self.distances, self.same)
        object.__setattr__(self, "distances", distances)
        object.__setattr__(self, "same", same)
        if not np.isfinite(distances).all():
            bad = np.flatnonzero(~np.isfinite(distances))
            raise UserError(
                f"{bad.size} of {len(distances)} distances are NaN or infinite, the first of pair "
                f"{bad[0]}; leave these pairs out, or use a model whose embeddings are finite"
            )
        if self.people is not None:
            _check_people(np.asarray(self.people), same)

    @classmethod
    def of_embeddings(
        cls,
        embeddings_a: ArrayLike,
        embeddings_b: ArrayLike,
        same: ArrayLike,
        people: ArrayLike | None = None,
        notes: Sequence[str] = (),
    ) -> Comparisons:
        """From both sides' embeddings [P, D], of any norm. Zero embeddings are noted."""
        sides = np.asarray(embeddings_a, np.float64), np.asarray(embeddings_b, np.float64)
        zero = sum(int((~side.any(-1)).sum()) for side in sides)
        said = [f"{zero} embeddings are zero; each is equally far from everybody"] if zero else []
        return cls(
            squared_distances(*sides),
            np.asarray(same, bool),
            None if people is None else np.asarray(people, np.int64),
            (*notes, *said),
        )

    @classmethod
    def of_scores(
        cls, scores: ArrayLike, same: ArrayLike, people: ArrayLike | None = None
    ) -> Comparisons:
        """From cosine similarities [P], -1..1: distance = 2 - 2 cosine."""
        cosines = np.asarray(scores, np.float64)
        if np.isfinite(cosines).all() and cosines.size and np.abs(cosines).max() > 1 + 1e-6:
            raise UserError(
                f"scores reach from {cosines.min():g} to {cosines.max():g}, expected cosine "
                "similarities in -1..1; rescale them so that the protocol's thresholds fit"
            )
        return cls(
            2 - 2 * cosines,
            np.asarray(same, bool),
            None if people is None else np.asarray(people, np.int64),
        )

    @property
    def scores(self) -> Floats:
        """Cosine similarities [P], -1..1."""
        return 1 - self.distances / 2

    @cached_property
    def sides(self) -> Ints:
        """``people``, or where they are unknown the most people that the pairs can hold."""
        if self.people is not None:
            return np.unique(self.people, return_inverse=True)[1].reshape(-1, 2).astype(np.int64)
        sides = np.arange(2 * len(self.same)).reshape(-1, 2)
        sides[self.same, 1] = sides[self.same, 0]
        return np.unique(sides, return_inverse=True)[1].reshape(-1, 2).astype(np.int64)


def _check_people(people: NDArray, same: Bools) -> None:
    if people.shape != (len(same), 2):
        raise UserError(
            f"people have shape {people.shape}, expected one number for either side of "
            f"{len(same)} pairs: [{len(same)}, 2]"
        )
    wrong = np.flatnonzero((people[:, 0] == people[:, 1]) != same)
    if wrong.size:
        raise UserError(
            f"{wrong.size} pairs contradict their people, the first is pair {wrong[0]} "
            f"({people[wrong[0]].tolist()}, same: {bool(same[wrong[0]])}); a pair is genuine "
            "exactly where both sides show one person"
        )


def people_of_pairs(images: Sequence[bytes], same: ArrayLike) -> tuple[Ints, tuple[str, ...]]:
    """Who is in each pair of a ``.bin``, as far as it tells: people [P, 2], and notes in words.

    images: the 2P encoded images. Equal bytes are one image, and genuine pairs join two images
    into one person. People who never meet in a genuine pair through shared images count as
    several, which makes intervals somewhat too narrow. Where an impostor pair joins what genuine
    pairs say is one person, its second side is taken for a person of its own, and noted.
    """
    genuine = np.asarray(same, bool)
    first: dict[bytes, int] = {}
    number = np.array([first.setdefault(image, position) for position, image in enumerate(images)])
    sides = number.reshape(-1, 2)
    leader = list(range(len(images)))

    def find(image: int) -> int:
        while leader[image] != image:
            leader[image] = leader[leader[image]]
            image = leader[image]
        return image

    for a, b in sides[genuine].tolist():
        leader[find(a)] = find(b)
    people = np.array([[find(a), find(b)] for a, b in sides.tolist()], np.int64)
    twice = sides[:, 0] == sides[:, 1]
    conflict = ~genuine & (people[:, 0] == people[:, 1])
    people[conflict, 1] = len(images) + np.arange(int(conflict.sum()))
    return people, tuple(_notes(int((twice & genuine).sum()), int((twice & ~genuine).sum()),
                                int((conflict & ~twice).sum())))  # fmt: skip


def _notes(genuine_twice: int, impostor_twice: int, conflicts: int) -> list[str]:
    notes = []
    if genuine_twice:
        notes.append(f"{genuine_twice} genuine pairs compare an image with itself")
    if impostor_twice:
        notes.append(f"{impostor_twice} pairs labelled as two people hold one image twice")
    if conflicts:
        notes.append(
            f"{conflicts} pairs labelled as two people join images of one, as genuine pairs say"
        )
    return notes
