# SPDX-License-Identifier: MIT
"""A small report for the tests of this folder."""

from functools import cache

import numpy as np

from arcface_fair.evaluation.all_pairs import all_pairs
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.metrics import Protocol
from arcface_fair.report import build_report
from tests.arcface_fair.evaluation.drawn import draw

GROUPS = {"north": draw(0), "south <b>": draw(1, shift=0.2)}


def worse(groups, by=0.15):
    """The same pairs, genuine ones further apart."""
    return {
        name: Comparisons(group.distances + by * group.same, group.same, group.people)
        for name, group in groups.items()
    }


@cache
def example(models=2, groups=2, fprs=(0.05,)):
    chosen = dict(list(GROUPS.items())[:groups])
    judged = {"old & plain": chosen, "new": worse(chosen)}
    return build_report(
        dict(list(judged.items())[:models]),
        Protocol(fprs, 0.05),
        title="Who is <recognised>?",
        resamples=30,
        metadata={"command": "arcface-fair evaluate 'a & b'"},
        model_facts={"new": {"SHA-256": "ab" * 32}},
        figures=(("a map", b"\x89PNG\r\n\x1a\n0000"),),
    )


def some_pairs():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(20), 4)
    rows = rng.normal(size=(20, 8))[who] + rng.normal(size=(80, 8))
    return all_pairs(rows, who, np.array(["north", "south"])[who % 2], (1e-6, 0.05), resamples=10)
