# SPDX-License-Identifier: MIT
"""Why a run scored as it did: what its partition, its map and its network follow.

What is planted is known, so it can be asked: does a partition separate those who have it, does
the map lie on it, how sure is the network of the two sides, and does the network follow the
context or the person where they are pulled apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from arcface_fair.data.training.dataset import open_dataset
from arcface_fair.export import load_backbone
from arcface_fair.plugin.partition import agreement, codes_of
from arcface_fair.run.checkpoint import checkpoint_path
from arcface_fair.run.embed import embed_bin
from drawn_faces.traits import groups_of
from drawn_faces.world import World
from studies.context_truth import context_region, outside_face
from studies.diagnostic_pairs import diagnose as judge_pairs
from studies.diagnostic_pairs import diagnostic_pairs
from studies.folder import Finished
from studies.plugin_outputs import finite

_IMAGES = 400  # training images of each side whose logits are looked at
_PEOPLE = 40  # per group, in the pairs


def diagnose(finished: Finished) -> dict[str, Any]:
    """Figures by name; a part that does not apply to the run is left out.

    ``partition``: agreement with who has the planted context (rates 0..1).
    ``map``: AUC of the contrast map for the true context, and for all outside an inner face.
    ``logits``: by side, mean cosines of target and nearest rival, and mean pmax without margin.
    ``pairs``: by group, what `diagnostic_pairs.diagnose` tells.
    """
    planted = planted_side(finished.world)
    found: dict[str, Any] = {}
    contrast = finished.output / "contrast" / "contrast.npz"
    if contrast.is_file():
        with np.load(contrast) as file:
            subset = codes_of(file["subset"])
            found["partition"] = _follows(subset, planted)
            found["map"] = map_agreement(file["map"], finished.world)
    backbone = load_backbone(finished.output)
    found["logits"] = _logits(finished, backbone, planted)
    if finished.world.confounded:
        pairs = diagnostic_pairs(finished.held_out_world, finished.record["split"], _PEOPLE)
        flat = pairs.images.reshape(-1, *pairs.images.shape[2:])
        embeddings = embed_bin(backbone, flat).reshape(len(pairs.images), 2, -1)
        names = finished.world.group_names
        told = judge_pairs(pairs, embeddings)
        found["pairs"] = {names[group]: _rounded(figures) for group, figures in told.items()}
    return found


def planted_side(world: World) -> NDArray[np.int64]:
    """1 for identities whose group has the planted context, 0 for the others; int64 [C]."""
    kept = np.asarray(world.context_keep) > world.loose_keep
    return kept[groups_of(world)].astype(np.int64)


def map_agreement(contrast: NDArray[np.float32], world: World) -> dict[str, float]:
    """AUC over pixels of a contrast map [112, 112]: 1 lies wholly on the context, 0.5 chance."""
    found = {"auc_outside_face": auc(contrast, outside_face())}
    if world.confounded:
        found["auc_context"] = auc(contrast, context_region(world))
    return _rounded(found)


def auc(values: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Share of (positive, negative) couples in which the positive has the greater value.

    Ties count half; NaN where one kind is missing. Both of any one shape.
    """
    scores, labels = values.ravel(), positive.ravel()
    above = int(labels.sum())
    below = labels.size - above
    if not above or not below:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = counts.cumsum()
    ranks = (last - (counts - 1) / 2)[place]
    return float((ranks[labels].sum() - above * (above + 1) / 2) / (above * below))


def _follows(subset: NDArray[np.int64], planted: NDArray[np.int64]) -> dict[str, float]:
    """How well the subsets separate the two sides; empty where there is one side alone."""
    if len(np.unique(planted)) < 2:
        return {}
    told = agreement(subset, planted)
    return _rounded({"nmi": told.nmi, "match": told.best_match_accuracy})


def _logits(finished: Finished, backbone: Any, planted: NDArray[np.int64]) -> dict[str, Any]:
    """Training images as the classifier sees them, on either side of the planted context."""
    kept = torch.load(checkpoint_path(finished.output, 0), weights_only=True, map_location="cpu")
    centres = kept["state_dict_softmax_fc"]["weight"].float().numpy()
    scale = float(finished.record["decisive"]["config"].get("margin_scale", 64.0))
    data = open_dataset(finished.faces)
    rng, found = np.random.default_rng(0), {}
    side = planted[np.asarray(data.identities)]
    for number, name in ((0, "loose"), (1, "planted")):
        positions = rng.permutation(np.flatnonzero(side == number))[:_IMAGES]
        if not len(positions):
            continue
        images = np.stack([data.read(int(position)) for position in positions])
        rows = embed_bin(backbone, images, flip=False)
        labels = np.asarray(data.identities)[positions]
        found[name] = logit_figures(rows, centres, labels, scale)
    return found


def logit_figures(
    embeddings: NDArray[np.float32],
    centres: NDArray[np.float32],
    labels: NDArray[np.int64],
    scale: float,
) -> dict[str, float]:
    """Means over rows [n, D]: target cosine, nearest rival's, their difference, pmax at ``scale``.

    centres: [C, D]; labels: int64 [n]. pmax is of softmax(scale * cosines), without margin.
    """
    cosines = _unit(embeddings) @ _unit(centres).T
    rows = np.arange(len(labels))
    target = cosines[rows, labels]
    logits = scale * cosines
    pmax = 1 / np.exp(logits - logits.max(1, keepdims=True)).sum(1)
    cosines[rows, labels] = -np.inf
    rival = cosines.max(1)
    return _rounded(
        {
            "target": float(target.mean()),
            "rival": float(rival.mean()),
            "difference": float((target - rival).mean()),
            "pmax": float(pmax.mean()),
        }
    )


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _rounded(figures: dict[str, float]) -> dict[str, Any]:
    return finite({name: round(float(value), 4) for name, value in figures.items()})
