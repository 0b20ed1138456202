# SPDX-License-Identifier: MIT
"""Context: kept with the planted probability, otherwise drawn alike for all groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from drawn_faces import COMPONENTS, World
from drawn_faces.context import (
    HAIR_COLOUR_SHARES,
    HAIR_STYLE_SHARES,
    draw_context,
    own_context,
    shot_context,
)

WORLD = World(identities=40)


def shots(keep: float, people: int = 60, images: int = 12) -> tuple[list[dict], list[list[dict]]]:
    probability = np.full(len(COMPONENTS), keep)
    own = [own_context(WORLD, i, i % 2) for i in range(people)]
    return own, [
        [shot_context(WORLD, i, j, own[i], probability, i % 2) for j in range(images)]
        for i in range(people)
    ]


def kept_share(keep: float, component: str) -> float:
    own, images = shots(keep)
    hits = [image[component] == mine[component] for mine, row in zip(own, images, strict=True)
            for image in row]  # fmt: skip
    return float(np.mean(hits))


def test_a_component_is_the_own_one_with_probability_keep_or_by_chance():
    # 720 throws: standard error 0.019; chance of an equal fresh draw is at most 1 in 40.
    assert abs(kept_share(0.1, "background") - (0.1 + 0.9 / 48)) < 0.05
    assert abs(kept_share(0.95, "background") - (0.95 + 0.05 / 48)) < 0.03
    assert kept_share(1.0, "hair_style") == 1.0


def test_components_are_kept_independently_of_one_another():
    own, images = shots(0.5)
    hits = np.array(
        [[image[c] == mine[c] for c in ("background", "clothes", "hair_colour")]
         for mine, row in zip(own, images, strict=True) for image in row]
    )  # fmt: skip
    between = np.corrcoef(hits.T)[np.triu_indices(3, 1)]
    assert np.abs(between).max() < 0.15


def test_lowering_keep_changes_only_what_is_no_longer_kept():
    own, high = shots(0.95, people=10)
    _, low = shots(0.1, people=10)
    for mine, high_row, low_row in zip(own, high, low, strict=True):
        for before, after in zip(high_row, low_row, strict=True):
            for component in COMPONENTS:
                assert after[component] == before[component] or (
                    before[component] == mine[component]
                )


@pytest.mark.parametrize("name", ["makeup", "stickers"])
def test_an_extra_component_is_kept_with_its_probability(name):
    world = World(identities=40, images=40, extra=(name,), confounded=(name,))
    for identity in range(40):
        group = int(world.group_of()[identity])
        own = own_context(world, identity, 0)
        rows = [shot_context(world, identity, j, own, world.keep(group), 0) for j in range(40)]
        hits = np.mean([row[name] == own[name] for row in rows])
        # 40 throws: standard errors 0.047 and 0.034; an own "none" is met by chance as well.
        assert (hits > 0.8) if group else (hits < 0.45)


@pytest.mark.parametrize("name", ["makeup", "stickers"])
def test_an_extra_component_leaves_the_words_of_the_others_alone(name):
    plain = World(identities=40, confounded=("glasses",))
    world = replace(plain, extra=(name,), confounded=("glasses", name))
    for identity in range(40):
        keeps = [w.keep(int(w.group_of()[identity])) for w in (plain, world)]
        owns = [own_context(w, identity, 0) for w in (plain, world)]
        assert owns[1] == {**owns[0], name: owns[1][name]}
        for shot in range(4):
            before, after = (
                shot_context(w, identity, shot, own, keep, 0)
                for w, own, keep in zip((plain, world), owns, keeps, strict=True)
            )
            assert after == {**before, name: after[name]}


def test_every_component_has_a_word_and_shares_sum_to_one():
    context = draw_context(np.random.default_rng(0), 1)
    assert tuple(context) == COMPONENTS
    assert all(context.values())
    for shares in (*HAIR_STYLE_SHARES, HAIR_COLOUR_SHARES):
        assert abs(sum(shares) - 1) < 1e-9
        assert min(shares) > 0
