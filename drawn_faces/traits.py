# SPDX-License-Identifier: MIT
"""Draws who a person is: geometry, colours and marks that every image of them shares.

A group is a skin tone and a slight shift of the mean face; people of one group differ from one
another far more than the groups do. Lengths are pixels of the 112 x 112 template.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from drawn_faces.world import World

GENDERS = ("female", "male")
SPREAD = 1.1  # times every spread below: how different people are, hence how hard the task

# name: (mean, spread between people, shift of a male face, shift by group)
GEOMETRY: dict[str, tuple[float, float, float, tuple[float, float, float, float]]] = {
    "eye_distance": (17.7, 1.7, 0.0, (0.0, 0.4, 0.5, -0.4)),  # half of it, centre to centre
    "eye_width": (6.7, 0.7, -0.2, (0.0, 0.1, 0.0, 0.3)),  # half
    "eye_opening": (3.0, 0.55, -0.2, (0.0, 0.1, -0.2, 0.2)),  # half
    "eye_tilt": (0.05, 0.08, 0.0, (0.0, 0.0, 0.04, 0.0)),  # radians, outer corner up
    "lid_crease": (2.2, 0.8, 0.0, (0.0, 0.0, -0.3, 0.2)),
    "brow_height": (9.2, 1.4, -0.8, (0.0, 0.0, 0.4, -0.3)),
    "brow_weight": (1.5, 0.4, 0.4, (0.0, 0.1, -0.1, 0.2)),  # half its thickness
    "brow_tilt": (-0.03, 0.07, 0.0, (0.0, 0.0, 0.0, 0.0)),  # radians, outer end up
    "brow_arch": (1.8, 0.9, -0.5, (0.0, 0.0, -0.2, 0.1)),
    "brow_length": (9.2, 1.0, 0.3, (0.0, 0.0, -0.2, 0.2)),  # half
    "nose_length": (0.6, 2.3, 0.4, (0.0, -0.3, -0.4, 0.6)),  # height of the tip
    "nose_width": (7.4, 1.2, 0.5, (0.0, 0.8, 0.2, 0.1)),  # half, at the wings
    "nose_bridge": (2.6, 0.55, 0.2, (0.0, 0.2, 0.0, -0.1)),  # half
    "mouth_height": (20.3, 1.6, 0.2, (0.0, -0.2, 0.0, 0.2)),
    "mouth_width": (13.4, 1.8, 0.4, (0.0, 0.4, -0.2, 0.2)),  # half
    "upper_lip": (2.4, 0.7, -0.4, (0.0, 0.6, 0.1, 0.1)),
    "lower_lip": (3.3, 0.8, -0.4, (0.0, 0.5, 0.0, 0.1)),
    "jaw_width": (29.3, 2.3, 1.4, (0.0, 0.3, 0.6, -0.4)),  # half, at the mouth
    "chin_length": (39.0, 2.2, 1.2, (0.0, 0.0, -0.6, 0.4)),  # height of the chin
    "chin_width": (11.3, 2.0, 1.3, (0.0, 0.2, -0.2, 0.0)),  # half
    "cheek_width": (36.5, 1.7, 0.4, (0.0, 0.0, 0.8, -0.4)),  # half
}

# Skin, red green blue 0..255; every tone is exposed for (see nuisance.py).
SKIN = np.array([(230, 188, 162), (140, 96, 72), (208, 160, 120), (174, 122, 90)], np.float32)
IRIS = np.array([(70, 45, 30), (96, 66, 38), (110, 112, 62), (84, 122, 150), (92, 112, 108)])
IRIS_WORDS = ("dark", "brown", "hazel", "blue", "grey")
BROW = np.array([(30, 24, 22), (62, 42, 30), (98, 70, 46), (128, 96, 62)], np.float32)
BROW_WORDS = ("black", "dark", "brown", "fair")
LEVELS = ("low", "middle", "high")
MOLES = ("none", "one", "two", "three", "four", "five")


@dataclass(frozen=True)
class Person:
    """What is the same in all images of one identity."""

    group: int
    gender: int  # index into GENDERS
    geometry: dict[str, float]  # pixels or radians, names of GEOMETRY
    scores: dict[str, float]  # the same in standard deviations of the person's group
    skin: np.ndarray  # [3] RGB, 0..255
    iris: int
    brow: int
    moles: np.ndarray  # [n, 3]: across -1..1, down -1..1, radius in pixels
    freckles: np.ndarray  # [n, 2]: across -1..1, down -1..1
    nose_shine: float  # 0..1, how bright the ridge of the nose is

    def words(self) -> dict[str, str]:
        """Ground truth as words: thirds of each trait, and the names of colours and marks."""
        edges = (-0.43, 0.43)  # thirds of a normal distribution
        table = {k: LEVELS[int(np.searchsorted(edges, v))] for k, v in self.scores.items()}
        table["iris"] = IRIS_WORDS[self.iris]
        table["brow_colour"] = BROW_WORDS[self.brow]
        table["moles"] = MOLES[len(self.moles)]
        table["freckles"] = "none" if len(self.freckles) == 0 else "some"
        return table


@lru_cache(maxsize=16)
def groups_of(world: World) -> np.ndarray:
    """``world.group_of()``, computed once per world and read-only."""
    groups = world.group_of()
    groups.setflags(write=False)
    return groups


def draw_person(world: World, identity: int) -> Person:
    """The identity's traits; they depend on (seed, split, identity) and the group only."""
    rng = world.rng("identity", identity)
    group = int(groups_of(world)[identity])
    gender = int(rng.integers(2))
    scores = np.clip(rng.standard_normal(len(GEOMETRY)), -2.2, 2.2)
    geometry = {
        name: mean + SPREAD * spread * float(z) + gender * male + by_group[group]
        for z, (name, (mean, spread, male, by_group)) in zip(scores, GEOMETRY.items(), strict=True)
    }
    light, warmth = rng.standard_normal(2)
    tint = np.array([0.2, 0.0, -0.6]) * 6 * warmth + 7 * np.clip(light, -2, 2)
    dark_eyes = (0.35, 0.9, 0.8, 0.7)[group]
    rest = (1 - dark_eyes) / 3
    iris = int(rng.choice(5, p=(dark_eyes * 0.5, dark_eyes * 0.5, rest, rest, rest)))
    brow = int(rng.choice(4, p=((0.2, 0.35, 0.3, 0.15), (0.6, 0.3, 0.1, 0.0))[group > 0]))
    return Person(
        group=group,
        gender=gender,
        geometry=geometry,
        scores=dict(zip(GEOMETRY, scores.tolist(), strict=True)),
        skin=np.clip(SKIN[group] + tint, 40, 245).astype(np.float32),
        iris=iris,
        brow=brow,
        moles=_moles(rng),
        freckles=_freckles(rng),
        nose_shine=float(rng.uniform(0.2, 1.0)),
    )


def _moles(rng: np.random.Generator) -> np.ndarray:
    count = min(int(rng.poisson(2.0)), len(MOLES) - 1)
    where = rng.uniform(-0.72, 0.72, (count, 2))
    return np.column_stack([where, rng.uniform(0.9, 1.8, count)])


def _freckles(rng: np.random.Generator) -> np.ndarray:
    if rng.uniform() > 0.25:
        return np.zeros((0, 2))
    count = int(rng.integers(14, 36))
    return np.column_stack([rng.normal(0, 0.38, count), rng.normal(0.05, 0.12, count)])
