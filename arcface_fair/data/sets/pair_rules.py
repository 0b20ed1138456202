# SPDX-License-Identifier: MIT
"""Draws verification pairs from labelled images where no list of pairs exists; the rule is ours.

Identities are dealt into ten parts, larger ones first, so that no person stands in two of the
ten folds. From each part come as many genuine as impostor pairs, genuine first. Genuine pairs go
round: every identity gives one, then every identity another, so that people with many images do
not outweigh the rest. Impostor pairs take two identities and one image of each, all with equal
chance. No pair occurs twice.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from arcface_fair.errors import UserError

FOLDS = 10


def draw_pairs(
    identities: np.ndarray, pairs: int, rng: np.random.Generator, what: str = "the set"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right int64 [pairs], indices of images, and bool [pairs]: do they show one person.

    identities: int [n], of every image.  pairs: a multiple of 20.
    Raises UserError if ``pairs`` is none or more than the images can make.
    """
    most = most_pairs(identities)
    if pairs < 2 * FOLDS or pairs % (2 * FOLDS) or pairs > most:
        raise UserError(
            f"{pairs} pairs are asked of {what} but its {len(identities)} images can make {most}; "
            f"ask for a multiple of {2 * FOLDS} up to that"
        )
    half = pairs // 2 // FOLDS
    chosen: list[tuple[int, int]] = []
    for people in _deal(identities):
        shuffled = [people[place] for place in rng.permutation(len(people)).tolist()]
        chosen += _genuine(shuffled, half, rng)
        chosen += _impostor(people, half, rng)
    left, right = np.array(chosen, np.int64).T
    return left, right, np.tile(np.repeat([True, False], half), FOLDS)


def most_pairs(identities: np.ndarray) -> int:
    """How many pairs `draw_pairs` can make of these images; a multiple of 20."""
    halves = []
    for people in _deal(identities):
        sizes = np.array([len(images) for images in people] or [0])
        genuine = int((sizes * (sizes - 1)).sum()) // 2
        impostor = int(sizes.sum() ** 2 - (sizes**2).sum()) // 2
        halves.append(min(genuine, impostor))
    return 2 * FOLDS * min(halves)


def _deal(identities: np.ndarray) -> list[list[np.ndarray]]:
    """The images of every identity, dealt into ten parts."""
    order = np.argsort(identities, kind="stable")
    _, starts = np.unique(np.asarray(identities)[order], return_index=True)
    people = list(np.split(order, starts)[1:]) if len(order) else []
    people.sort(key=len, reverse=True)
    return [people[part::FOLDS] for part in range(FOLDS)]


def _genuine(
    people: list[np.ndarray], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    rounds = []
    for images in people:
        own = list(combinations(images.tolist(), 2))
        rounds.append([own[place] for place in rng.permutation(len(own))[:count].tolist()])
    chosen: list[tuple[int, int]] = []
    for turn in range(count):
        chosen += [own[turn] for own in rounds if turn < len(own)]
        if len(chosen) >= count:
            break
    return chosen[:count]


def _impostor(
    people: list[np.ndarray], count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    sizes = np.array([len(images) for images in people])
    if (sizes.sum() ** 2 - (sizes**2).sum()) // 2 <= 8 * count:
        every = [
            (one, other)
            for first, second in combinations(people, 2)
            for one in first.tolist()
            for other in second.tolist()
        ]
        return [every[place] for place in rng.permutation(len(every))[:count].tolist()]
    chosen: dict[tuple[int, int], None] = {}  # a set that keeps its order
    while len(chosen) < count:
        one, other = rng.integers(len(people), size=2).tolist()
        if one != other:
            pair = sorted(int(rng.choice(people[person])) for person in (one, other))
            chosen[pair[0], pair[1]] = None
    return list(chosen)
