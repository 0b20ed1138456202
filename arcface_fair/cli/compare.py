# SPDX-License-Identifier: MIT
"""``arcface-fair compare A.onnx B.onnx IMAGES``: where two models agree, and for which groups."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.text import text_table
from arcface_fair.export.runtime import OnnxEmbedder
from arcface_fair.judge.inputs import Sets, read_sets
from arcface_fair.judge.protocols import GroupAgreement, agreement_by_group

HELP = "compare two exported models on the same faces, group by group"
SIDE = 112
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Faces come from a folder, whose sub-folders are groups, or from verification sets."""
    parser.add_argument("first", type=Path, metavar="A.onnx")
    parser.add_argument("second", type=Path, metavar="B.onnx")
    faces = parser.add_mutually_exclusive_group(required=True)
    faces.add_argument(
        "images",
        nargs="?",
        type=Path,
        metavar="IMAGES",
        help="folder of aligned faces, 112 x 112; each of its sub-folders is a group",
    )
    faces.add_argument(
        "--bins", nargs="+", type=Path, help="one verification .bin per group, with accuracies"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default) | cuda")


def run(args: argparse.Namespace) -> None:
    """Prints one line per group."""
    first, second = (OnnxEmbedder(path, args.device) for path in (args.first, args.second))
    sets: Sets = dict(read_sets(args.bins)) if args.bins else read_folder(args.images)
    print(table(agreement_by_group(first, second, sets)))


def read_folder(folder: Path) -> Sets:
    """The faces of every sub-folder, or of the folder itself as the group "all".

    Raises UserError for a folder without images, and for images of another size.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; give one with aligned faces, or --bins")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    groups: dict[str, list[Path]] = {}
    for path in files:
        inside = path.relative_to(folder).parts
        groups.setdefault(inside[0] if len(inside) > 1 else "all", []).append(path)
    if not groups:
        raise UserError(f"{folder} holds no images; give a folder with aligned faces (.jpg, .png)")
    return {group: (_read_images(paths), None) for group, paths in groups.items()}


def table(rows: Sequence[GroupAgreement]) -> str:
    """The rows as aligned text, with a legend."""
    heads = ["group", "faces", "cosine", "lowest", "change", "largest", "corr.", "shift"]
    if any(row.accuracies for row in rows):
        heads += ["A %", "B %", "B - A"]
    lines = []
    for group, alike, accuracies in rows:
        values = (
            *(alike.cosine_mean, alike.cosine_min, alike.change_mean),
            *(alike.change_max, alike.correlation, alike.shift),
        )
        cells = [group, str(alike.faces), *(_shown(value) for value in values)]
        if accuracies:
            before, after = accuracies
            cells += [f"{before * 100:.2f}", f"{after * 100:.2f}", f"{(after - before) * 100:+.2f}"]
        lines.append(cells)
    return (
        f"{text_table(heads, lines)}\n\n"
        "cosine, lowest: of one face's embeddings by A and B (- where their sizes differ)\n"
        "change, largest, corr., shift: of the cosine between two faces, from A to B"
    )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _read_images(paths: list[Path]) -> NDArray[np.uint8]:
    images = []
    for path in paths:
        # Through memory, because cv2.imread does not open every path on every system.
        image = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.shape[:2] != (SIDE, SIDE):
            problem = "cannot be decoded" if image is None else f"has {image.shape[1::-1]} pixels"
            raise UserError(
                f"{path} {problem}; expected an aligned face of {SIDE} x {SIDE} "
                "(insightface.utils.face_align.norm_crop makes them)"
            )
        images.append(image[:, :, ::-1])
    return np.stack(images)
