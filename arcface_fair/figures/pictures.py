# SPDX-License-Identifier: MIT
"""People of every subset, drawn at random, and features laid out on a plane (INV-REG, figure 8).

N images, D embedding size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from arcface_fair.figures.composition import SUBSET_COLOURS, colours
from arcface_fair.figures.run import PartitionedRun, Stage
from arcface_fair.optional import COLOURS, pyplot

_FACE = 72  # pixels of one photograph's side
_GAP = 6


def sample_people(stage: Stage, images: np.ndarray, people: int, seed: int) -> list[np.ndarray]:
    """Up to ``people`` random identities with images per subset; images int [C] counts them."""
    generator = np.random.default_rng(seed)
    chosen = []
    for code in range(len(stage.subset.names)):
        members = np.flatnonzero((stage.subset.codes == code) & (images > 0))
        chosen.append(np.sort(generator.permutation(members)[:people]))
    return chosen


def draw_faces(
    run: PartitionedRun,
    stage: Stage,
    path: Path,
    *,
    people: int = 12,
    shots: int = 4,
    seed: int = 0,
) -> Path:
    """One block per subset: a random person per column, up to ``shots`` photographs below."""
    plt = pyplot()
    identities = run.dataset.identities
    images = np.bincount(identities, minlength=run.num_classes)
    sampled = sample_people(stage, images, people, seed)
    blocks = [_block(run, members, people, shots) for members in sampled]
    height = sum(block.shape[0] for block in blocks) / 100 + 0.55 * len(blocks)
    figure, grid = plt.subplots(
        len(blocks), 1, figsize=(blocks[0].shape[1] / 100 + 0.2, height), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axes, block, name, size in zip(
        grid[:, 0], blocks, stage.subset.names, stage.sizes, strict=True
    ):
        axes.imshow(block, interpolation="none")
        axes.set_title(f"stage {stage.number}, subset {name}: {size} identities", loc="left")
        axes.axis("off")
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _block(run: PartitionedRun, members: np.ndarray, people: int, shots: int) -> np.ndarray:
    """uint8 RGB: one column of photographs per person, white where there is none."""
    side = _FACE + _GAP
    block = np.full((shots * _FACE, people * side - _GAP, 3), 255, np.uint8)
    for column, identity in enumerate(members.tolist()):
        positions = np.flatnonzero(run.dataset.identities == identity)[:shots]
        for row, position in enumerate(positions.tolist()):
            face = cv2.resize(
                run.dataset.read(position), (_FACE, _FACE), interpolation=cv2.INTER_AREA
            )
            top, left = row * _FACE, column * side
            block[top : top + _FACE, left : left + _FACE] = face
    return block


_LEAST_FOR_UMAP = 16


def to_plane(features: np.ndarray, seed: int = 0) -> tuple[np.ndarray, str]:
    """Places [N, 2] of normalised features [N, D], and the name of what placed them.

    UMAP (arXiv 1802.03426) keeps neighbourhoods, distances between clusters mean nothing; PCA is
    a projection. PCA where umap-learn is not installed, or for fewer than 16 images.
    """
    if len(features) >= _LEAST_FOR_UMAP and (umap := _umap()) is not None:
        with warnings.catch_warnings():
            # A seed costs UMAP its threads, which it mentions each time.
            warnings.simplefilter("ignore")
            places = umap.UMAP(metric="cosine", random_state=seed, n_jobs=1).fit_transform(features)
        return np.asarray(places, np.float32), "UMAP"
    centred = features - features.mean(0)
    left, scale, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(features), 2), np.float32)
    kept = min(2, len(scale))
    places[:, :kept] = (left * scale)[:, :kept]
    return places, "PCA"


def _umap() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import umap
    except ImportError:
        return None
    return umap


def draw_plane(
    run: PartitionedRun, places: np.ndarray, identities: np.ndarray, method: str, path: Path
) -> Path:
    """The same places coloured by group and by the subset of every stage."""
    plt = pyplot()
    panels = {run.group_name: run.group} if run.grouped else {}
    panels |= {f"subset of stage {stage.number}": stage.subset for stage in run.stages}
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    figure, grid = plt.subplots(
        down, across, figsize=(4.6 * across, 4.2 * down), layout="constrained", squeeze=False
    )
    for axes, (title, attribute) in zip(grid.flat, panels.items(), strict=False):
        hues = COLOURS if attribute is run.group and run.grouped else SUBSET_COLOURS
        palette = colours(len(attribute.names), hues)
        _scatter(axes, places, attribute.names, attribute.codes[identities], palette)
        axes.set_title(title)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    figure.suptitle(f"{method} of {len(places)} training images' features", fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _scatter(
    axes: Any, places: np.ndarray, names: Sequence[str], codes: np.ndarray, palette: list[Any]
) -> None:
    known = codes >= 0
    # All points in one random order, so that no group lies on top of the others.
    order = np.random.default_rng(0).permutation(np.flatnonzero(known))
    size = float(np.clip(9000 / max(len(places), 1), 2, 24))
    axes.scatter(*places[~known].T, s=size, color="#EEEEEE", linewidths=0)
    points = [palette[code] for code in codes[order]]
    axes.scatter(*places[order].T, s=size, c=points, alpha=0.7, linewidths=0)
    for code, name in enumerate(names):
        axes.scatter([], [], s=24, color=palette[code], label=f"{name} ({(codes == code).sum()})")
    axes.legend(loc="best", fontsize=7, framealpha=0.8, handletextpad=0.2, borderpad=0.3)
    axes.set_xticks([])
    axes.set_yticks([])
