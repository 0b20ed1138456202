# SPDX-License-Identifier: MIT
"""Comparisons drawn at random, for the tests of this folder."""

import numpy as np

from arcface_fair.evaluation.comparisons import Comparisons


def draw(seed=0, people=40, each=6, shift=0.0, person=0.1, noise=0.2):
    """`each` genuine and as many impostor pairs per person; distances vary by person and pair."""
    rng = np.random.default_rng(seed)
    of_person = rng.normal(0, person, people)
    a = np.repeat(np.arange(people), each)
    b = (a + rng.integers(1, people, len(a))) % people
    genuine = 0.8 + shift + of_person[a] + rng.normal(0, noise, len(a))
    impostor = 1.6 - shift / 2 + of_person[a] + of_person[b] + rng.normal(0, noise, len(a))
    distances = np.clip(np.concatenate([genuine, impostor]), 0, 3.99)
    same = np.arange(2 * len(a)) < len(a)
    sides = np.concatenate([np.stack([a, a], 1), np.stack([a, b], 1)])
    order = rng.permutation(len(same))
    return Comparisons(distances[order], same[order], sides[order])
