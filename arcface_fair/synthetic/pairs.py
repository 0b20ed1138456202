# SPDX-License-Identifier: MIT
"""Chooses the verification pairs of one group: which images meet, in InsightFace's order.

Every tenth of the list holds as many genuine as impostor pairs, genuine first, so that the
usual ten folds (contiguous, unshuffled) are balanced. Impostors share group and gender; no
pair occurs twice.
"""

from __future__ import annotations

from math import comb

import numpy as np

from arcface_fair.errors import UserError

FOLDS = 10
Image = tuple[int, int]  # identity, shot


def verification_pairs(
    identities: np.ndarray,
    genders: np.ndarray,
    images: int,
    pairs: int,
    rng: np.random.Generator,
) -> tuple[list[tuple[Image, Image]], list[bool]]:
    """Pairs of (identity, shot) and whether they show one person; both of length ``pairs``.

    identities, genders: int [n], the people of one group.  images: per person.
    Raises UserError if ``pairs`` is no multiple of 20 or more than the images can make.
    """
    _check(len(identities), np.bincount(genders), images, pairs)
    genuine = _genuine(identities, images, pairs // 2, rng)
    impostor = _impostor(identities, genders, images, pairs // 2, rng)
    half = pairs // 2 // FOLDS
    chosen: list[tuple[Image, Image]] = []
    for start in range(0, pairs // 2, half):
        chosen += genuine[start : start + half] + impostor[start : start + half]
    return chosen, ([True] * half + [False] * half) * FOLDS


def _check(people: int, by_gender: np.ndarray, images: int, pairs: int) -> None:
    if pairs < 2 * FOLDS or pairs % (2 * FOLDS):
        raise UserError(
            f"pairs is {pairs}; expected a multiple of {2 * FOLDS}, so that each of {FOLDS} folds "
            "holds as many genuine as impostor pairs; choose such a number"
        )
    genuine = people * comb(images, 2)
    impostor = sum(comb(int(n), 2) for n in by_gender) * images**2
    if min(genuine, impostor) < pairs // 2:
        raise UserError(
            f"{people} people with {images} images each make {genuine} genuine and {impostor} "
            f"same-gender impostor pairs, expected at least {pairs // 2} of either; "
            "draw more people or images, or ask for fewer pairs"
        )


def _genuine(
    identities: np.ndarray, images: int, count: int, rng: np.random.Generator
) -> list[tuple[Image, Image]]:
    first, second = np.triu_indices(images, 1)
    chosen = rng.choice(len(identities) * len(first), count, replace=False)
    who, which = identities[chosen // len(first)], chosen % len(first)
    rows = zip(who.tolist(), first[which].tolist(), second[which].tolist(), strict=True)
    return [((i, a), (i, b)) for i, a, b in rows]


def _impostor(
    identities: np.ndarray,
    genders: np.ndarray,
    images: int,
    count: int,
    rng: np.random.Generator,
) -> list[tuple[Image, Image]]:
    chosen: dict[tuple[Image, Image], None] = {}  # a set that keeps its order
    while len(chosen) < count:
        i, j = rng.integers(len(identities), size=2).tolist()
        shots = rng.integers(images, size=2).tolist()
        if i != j and genders[i] == genders[j]:
            low, high = sorted([(int(identities[i]), shots[0]), (int(identities[j]), shots[1])])
            chosen[low, high] = None
    return list(chosen)
