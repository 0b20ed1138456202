# SPDX-License-Identifier: MIT
"""How a network is judged: every genuine pair and many impostors of unseen people, per group.

Impostor pairs are of one group and one gender, a fixed draw of at most ``impostors`` per group.
Both kinds weigh alike (balanced accuracy). Ten folds, each with a tenth of either kind; the
threshold of each is the best of the other nine. N images, P pairs, D embedding size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcface_fair.evaluation import Comparisons, Protocol, measure
from arcface_fair.evaluation.verification import Floats
from drawn_faces import World
from drawn_faces.traits import draw_person, groups_of
from studies.plan import PROTOCOL

RULES = Protocol(fprs=(PROTOCOL["fpr"],))


def compare(world: World, embeddings: NDArray, identities: NDArray) -> dict[str, Comparisons]:
    """Comparisons by group. embeddings: [N, D], any norm; identities: int [N]."""
    groups = groups_of(world)
    genders = np.array([draw_person(world, i).gender for i in range(world.identities)])
    found = {}
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups[identities] == group)
        rng = world.rng("benchmark pairs", group)
        pairs, same = _pairs(identities[rows], genders[identities[rows]], rng)
        a, b = rows[pairs[:, 0]], rows[pairs[:, 1]]
        found[world.group_names[group]] = Comparisons.of_embeddings(
            embeddings[a], embeddings[b], same, np.stack([identities[a], identities[b]], 1)
        )
    return found


def balance(groups: Mapping[str, Comparisons]) -> dict[str, Floats]:
    """Weights [1, P] by group with which genuine and impostor pairs count alike."""
    return {
        name: np.where(group.same, 1.0, group.same.sum() / (~group.same).sum())[None]
        for name, group in groups.items()
    }


def judged(groups: Mapping[str, Comparisons]) -> dict[str, Any]:
    """The figures of a run, for JSON; rates are 0..1."""
    found = {name: float(v[0]) for name, v in measure(groups, RULES, balance(groups)).items()}
    tpr = f"tpr@{RULES.fprs[0]:g}"
    by_group = {
        name: {
            "accuracy": found[f"accuracy/{name}"],
            "tpr": found[f"{tpr}/{name}"],
            "genuine": int(group.same.sum()),
            "impostor": int((~group.same).sum()),
        }
        for name, group in groups.items()
    }
    whole = {
        "mean": found["mean accuracy"],
        "worst": found["worst accuracy"],
        "std_ddof0": found["STD n"],
        "std_ddof1": found["STD n-1"],
        "ser": found["SER"],
        "mean_tpr": float(np.mean([each["tpr"] for each in by_group.values()])),
        "worst_tpr": float(np.min([each["tpr"] for each in by_group.values()])),
        "fpr": RULES.fprs[0],
    }
    return {"groups": {name: _known(each) for name, each in by_group.items()}, **_known(whole)}


def _known(found: dict[str, float]) -> dict[str, float | None]:
    """JSON has neither NaN nor infinity."""
    return {name: value if np.isfinite(value) else None for name, value in found.items()}


def unit_halves(embeddings: NDArray) -> NDArray[np.float16]:
    """Rows of unit length as they are stored; figures are computed from these very numbers."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return (embeddings / np.maximum(norms, 1e-12)).astype(np.float16)


def _pairs(
    identities: NDArray, genders: NDArray, rng: np.random.Generator
) -> tuple[NDArray, NDArray]:
    """Pairs of rows [P, 2] and same or not [P], either kind spread evenly over the order."""
    a, b = np.triu_indices(len(identities), 1)
    same = identities[a] == identities[b]
    genuine = rng.permutation(np.flatnonzero(same))
    other = rng.permutation(np.flatnonzero(~same & (genders[a] == genders[b])))
    other = other[: PROTOCOL["impostors"]]
    chosen = np.concatenate([genuine, other])
    place = np.concatenate([(np.arange(len(k)) + 0.5) / len(k) for k in (genuine, other)])
    chosen = chosen[np.argsort(place, kind="stable")]
    return np.stack([a[chosen], b[chosen]], 1), same[chosen]
