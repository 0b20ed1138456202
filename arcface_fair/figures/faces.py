# SPDX-License-Identifier: MIT
"""Shows people of every subset of a partition, drawn at random, for everybody to judge."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from arcface_fair.evaluation.figures import pyplot
from arcface_fair.figures.run import PartitionedRun, Stage

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
