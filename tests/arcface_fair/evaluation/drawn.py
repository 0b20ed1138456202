# SPDX-License-Identifier: MIT
"""Comparisons drawn at random, and tables of given accuracies, for tests."""

import numpy as np

from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.groups import FairnessTable
from arcface_fair.evaluation.metrics import over_accuracies


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


def table_of(**accuracies):
    """A table of groups with these accuracies, and TPRs that are 0.2 lower."""
    values = {f"accuracy/{name}": value for name, value in accuracies.items()}
    values |= {f"tpr@0.01/{name}": value - 0.2 for name, value in accuracies.items()}
    found = over_accuracies(np.array([list(accuracies.values())]))
    values |= {key: float(value[0]) for key, value in found.items()}
    values["mean tpr@0.01"] = values["mean accuracy"] - 0.2
    return FairnessTable(values, dict.fromkeys(accuracies, 100), dict.fromkeys(accuracies, 0.01))
