# SPDX-License-Identifier: MIT
"""Pairs that tell which cue a network follows: the same person in another context, and
another person in the same context.

Camera (pose, expression, light, sensor noise, places of stickers) is equal within every pair,
so that a genuine pair differs in context alone and an impostor pair in the person alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from arcface_fair.errors import UserError
from drawn_faces.context import Context
from drawn_faces.draw import context_of, draw_in_context, sitter
from drawn_faces.traits import groups_of
from drawn_faces.world import World
from studies.context_truth import redrawn

_TRIES = 100  # fresh draws until a word differs; glasses repeat one time in three


@dataclass(frozen=True)
class DiagnosticPairs:
    """n pairs; group by group, genuine and impostor in turn."""

    images: np.ndarray  # uint8 [n, 2, 112, 112, 3], RGB
    same: np.ndarray  # bool [n], one person in another context; else another in the same
    group: np.ndarray  # int64 [n], index into World.group_names
    identities: np.ndarray  # int64 [n, 2], of World.held_out(split, people, 1)
    contexts: tuple[tuple[Context, Context], ...]  # the words of both pictures


def diagnostic_pairs(
    world: World, split: str = "validation", people: int = 40, seed: int = 0
) -> DiagnosticPairs:
    """One genuine and one impostor pair for each of ``people`` unseen people per group.

    (a) genuine: the confounded components are drawn anew until at least one word differs,
    everything else is held.  (b) impostor: another person of the same group and gender under
    the very words and the camera of the first.  A function of its arguments alone.
    Raises UserError for the split ``train``, a world that confounds nothing, and fewer people
    than would give everybody a partner of the same gender.
    """
    if split not in ("validation", "test"):
        raise UserError(
            f"split is {split!r}; expected validation or test, whose people no run has seen; "
            "name one of these"
        )
    if not world.confounded:
        raise UserError(
            "World.confounded is empty, so no context can be changed; expected at least one "
            "component; choose a world with a confounder or its control"
        )
    unseen = world.held_out(split, people, 1)
    rows = list(_pairs(unseen, seed))
    return DiagnosticPairs(
        images=np.stack([images for images, *_ in rows]),
        same=np.arange(len(rows)) % 2 == 0,
        group=groups_of(unseen)[[who[0] for _, who, _ in rows]],
        identities=np.array([who for _, who, _ in rows], dtype=np.int64),
        contexts=tuple(words for *_, words in rows),
    )


Row = tuple[np.ndarray, tuple[int, int], tuple[Context, Context]]


def _pairs(world: World, seed: int) -> Iterator[Row]:
    groups = groups_of(world)
    genders = np.array([sitter(world, i).person.gender for i in range(world.identities)])
    for group in np.unique(groups).tolist():
        for identity in np.flatnonzero(groups == group).tolist():
            alike = (groups == group) & (genders == genders[identity])
            rng = world.rng("diagnostic pairs", seed, identity)
            other = _partner(world, alike, identity, rng)
            own = context_of(world, identity, 0)
            changed = _changed(world, own, int(genders[identity]), rng)
            first = draw_in_context(world, identity, own, (identity, 0))
            for who, words in ((identity, changed), (other, own)):
                second = draw_in_context(world, who, words, (identity, 0))
                yield np.stack([first, second]), (identity, who), (own, words)


def _partner(world: World, alike: np.ndarray, identity: int, rng: np.random.Generator) -> int:
    candidates = np.flatnonzero(alike)
    candidates = candidates[candidates != identity]
    if not len(candidates):
        name = world.group_names[int(groups_of(world)[identity])]
        raise UserError(
            f"identity {identity} is the only person of its gender in {name}, expected another "
            "one to pair with; ask for more people per group"
        )
    return int(rng.choice(candidates))


def _changed(world: World, own: Context, gender: int, rng: np.random.Generator) -> Context:
    for _ in range(_TRIES):
        words = redrawn(world, own, gender, rng)
        if words != own:
            return words
    raise AssertionError(f"{_TRIES} draws of {world.confounded} gave the same words")


def diagnose(pairs: DiagnosticPairs, embeddings: np.ndarray) -> dict[int, dict[str, float]]:
    """What a network's embeddings, float [n, 2, d], make of the pairs, for every group.

    ``cosine_context``: mean cosine of (a), 1 for a network that ignores the context.
    ``cosine_person``: mean cosine of (b), low for one that sees the person.
    ``auc``: share of (a, b) couples with the greater cosine in (a), ties half.
    ``accuracy``: at the best single threshold of the group, percent.
    """
    unit = embeddings / np.linalg.norm(embeddings, axis=2, keepdims=True)
    cosine = (unit[:, 0] * unit[:, 1]).sum(axis=1)
    told = {}
    for group in np.unique(pairs.group).tolist():
        here = pairs.group == group
        genuine, impostor = cosine[here & pairs.same], cosine[here & ~pairs.same]
        above = genuine[:, None] - impostor[None, :]
        cuts = np.unique(cosine[here])[:, None]
        right = (genuine >= cuts).mean(axis=1) + (impostor < cuts).mean(axis=1)
        told[group] = {
            "cosine_context": float(genuine.mean()),
            "cosine_person": float(impostor.mean()),
            "auc": float((above > 0).mean() + 0.5 * (above == 0).mean()),
            "accuracy": float(max(50.0, 50 * right.max())),
        }
    return told
