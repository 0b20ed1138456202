# SPDX-License-Identifier: MIT
"""``arcface-fair compare A.onnx B.onnx IMAGES``: where two models agree, and for which groups."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arcface_fair.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from arcface_fair.evaluation.feature_agreement import Agreement

    Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    # Images uint8 RGB [N, 112, 112, 3] of a group, and whether pair i (images 2i, 2i + 1) is of
    # one person; None for images without pairs.
    Sets = Mapping[str, tuple[NDArray[np.uint8], NDArray[np.bool_] | None]]

HELP = "compare two exported models on the same faces, group by group"
SIDE = 112
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
BATCH = 64


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
    from arcface_fair.cli.evaluate import read_sets
    from arcface_fair.export.runtime import OnnxEmbedder

    first, second = (OnnxEmbedder(path, args.device) for path in (args.first, args.second))
    sets: Sets = dict(read_sets(args.bins)) if args.bins else read_folder(args.images)
    print(table(compare_sets(first, second, sets)))


@dataclass(frozen=True)
class Row:
    """One group: its figures, and both models' 10-fold accuracies (0..1) where pairs are known."""

    group: str
    agreement: Agreement
    accuracies: tuple[float, float] | None


def compare_sets(first: Embed, second: Embed, sets: Sets) -> list[Row]:
    """A row per group. Raises UserError for groups that cannot be judged."""
    from arcface_fair.evaluation.feature_agreement import agreement
    from arcface_fair.evaluation.verification import ten_fold

    rows = []
    for group, (images, same) in sets.items():
        a, b = (_embed(model, images) for model in (first, second))
        accuracies = None
        try:
            found = agreement(a, b)
            if same is not None:
                before, after = (float(ten_fold(e[0::2], e[1::2], same).accuracy) for e in (a, b))
                accuracies = before, after
        except UserError as error:
            raise UserError(f"group {group!r}: {error}") from error
        rows.append(Row(group, found, accuracies))
    return rows


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


def table(rows: list[Row]) -> str:
    """The rows as aligned text, with a legend."""
    judged = any(row.accuracies for row in rows)
    head = ["group", "faces", "cosine", "lowest", "change", "largest", "corr.", "shift"]
    lines = [head + (["A %", "B %", "B - A"] if judged else [])]
    for row in rows:
        found = row.agreement
        figures = (
            *(found.cosine_mean, found.cosine_min, found.change_mean),
            *(found.change_max, found.correlation, found.shift),
        )
        cells = [row.group, str(found.faces), *(_figure(value) for value in figures)]
        if row.accuracies:
            before, after = row.accuracies
            cells += [f"{before * 100:.2f}", f"{after * 100:.2f}", f"{(after - before) * 100:+.2f}"]
        lines.append(cells)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join(
        [
            *text,
            "",
            "cosine, lowest: of one face's embeddings by A and B (- where their sizes differ)",
            "change, largest, corr., shift: of the cosine between two faces, from A to B",
        ]
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"


def _embed(model: Embed, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    import numpy as np

    parts = [model(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def _read_images(paths: list[Path]) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    images = []
    for path in paths:
        # Through memory, because cv2.imread does not open every path on every system.
        image = cv2.imdecode(np.frombuffer(path.read_bytes() or b"\0", np.uint8), cv2.IMREAD_COLOR)
        if image is None or image.shape[:2] != (SIDE, SIDE):
            found = "cannot be decoded" if image is None else f"has {image.shape[1::-1]} pixels"
            raise UserError(
                f"{path} {found}; expected an aligned face of {SIDE} x {SIDE} "
                "(insightface.utils.face_align.norm_crop makes them)"
            )
        images.append(image[:, :, ::-1])
    return np.stack(images)
