# SPDX-License-Identifier: MIT
"""Protocols on whole data sets for the command line: all pairs of a record, and IJB folders."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arcface_fair.errors import UserError
from arcface_fair.judge.models import choose_device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from arcface_fair.data.training.faces import FaceDataset
    from arcface_fair.evaluation.all_pairs import AllPairs
    from arcface_fair.evaluation.templates import Templates
    from arcface_fair.judge.sets import Embed

BLOCK = 512  # images read at a time


def embed_blocks(
    embed: Embed, read: Callable[[int], NDArray[np.uint8]], count: int, name: str
) -> NDArray[np.float32]:
    """Embeddings [count, D] of images read by number, with a progress bar."""
    import numpy as np
    from tqdm import tqdm

    rows: NDArray[np.float32] | None = None
    with tqdm(total=count, desc=name, unit="img", leave=False) as bar:
        for start in range(0, count, BLOCK):
            faces = np.stack([read(at) for at in range(start, min(start + BLOCK, count))])
            part = embed(faces, bar.update)
            if rows is None:
                rows = np.empty((count, part.shape[1]), np.float32)
            rows[start : start + len(part)] = part
    if rows is None:
        raise UserError("there are no images to embed; name a folder that holds some")
    return rows


def judge_all_pairs(embed: Embed, args: argparse.Namespace, name: str) -> AllPairs:
    """Every image of ``--record`` against every other, by the groups of its table."""
    from tqdm import tqdm

    from arcface_fair.data.training.dataset import open_dataset
    from arcface_fair.evaluation.all_pairs import all_pairs

    dataset = open_dataset(args.record)
    groups = _groups_of(dataset, args)
    rows = embed_blocks(embed, dataset.read, dataset.num_images, name)
    total = len(rows) * (len(rows) - 1) // 2
    device = choose_device(args.device)
    with tqdm(
        total=total, desc=f"{name}, pairs", unit="pairs", unit_scale=True, leave=False
    ) as bar:
        return all_pairs(
            rows,
            dataset.identities,
            groups,
            tuple(args.pairs_fpr),
            device=None if device == "cpu" else device,
            resamples=min(args.resamples, 200),
            level=args.level,
            seed=args.seed,
            on_pairs=bar.update,
        )


def _groups_of(dataset: FaceDataset, args: argparse.Namespace) -> list[str] | None:
    from arcface_fair.data.groups import GroupTable
    from arcface_fair.evaluation.all_pairs import intersections

    path = args.groups or Path(args.record) / "groups.tsv"
    if not path.is_file():
        if args.groups or args.attribute:
            raise UserError(f"there is no group table {path}; name one with --groups")
        return None
    table = GroupTable.read(path, dataset.num_classes)
    columns = args.attribute or [next(iter(table.attributes))]
    by_class = [table[column].words() for column in columns]
    words = intersections(*([column[who] for who in dataset.identities] for column in by_class))
    return words


def judge_ijb(embed: Embed, folder: Path, name: str) -> tuple[list[str], list[list[str]]]:
    """Rows of 1:1 (and 1:N where its lists are there): heads, and lines of text."""
    from arcface_fair.data.sets.ijb import read_ijb
    from arcface_fair.evaluation.templates import (
        FPRS,
        checked_labels,
        compare_templates,
        pool_templates,
        tpr_nearest,
    )
    from arcface_fair.evaluation.verification import tpr_at_fpr

    ijb = read_ijb(folder)
    rows = embed_blocks(embed, ijb.face, len(ijb.names), name)
    templates = pool_templates(rows, ijb.templates, ijb.media, ijb.scores)
    same = checked_labels(ijb.same, len(ijb.pairs))
    scores = compare_templates(templates, ijb.pairs[:, 0], ijb.pairs[:, 1])
    exact = [tpr_at_fpr(-scores, same, fpr) for fpr in FPRS]
    lines = [
        [f"{name}: 1:1, FPR at most", *(_percent(value) for value in exact)],
        [f"{name}: 1:1, nearest point of the ROC curve (arcface_torch)",
         *(_percent(tpr_nearest(scores, same, fpr)) for fpr in FPRS)],
    ]  # fmt: skip
    heads = ["TPR, %", *(f"{fpr:g}" for fpr in FPRS)]
    return heads, lines + [
        [f"{name}: {text}", *cells] for text, *cells in _one_to_many(templates, folder)
    ]


def _percent(value: float) -> str:
    return "-" if value != value else f"{100 * value:.2f}"


def _one_to_many(templates: Templates, folder: Path) -> Iterator[list[str]]:
    """Both galleries against the mixed probes, where ``meta`` holds the lists of 1:N."""
    from arcface_fair.evaluation.identification import identify

    meta = folder / "meta"
    galleries = sorted(meta.glob("*_1N_gallery_*.csv"))
    probes = sorted(meta.glob("*_1N_probe_mixed.csv"))
    if not galleries or not probes:
        return
    probe_ids, probe_people = _template_list(probes[0])
    for path in galleries:
        ids, people = _template_list(path)
        found = identify(
            templates.features[templates.rows(ids)], people,
            templates.features[templates.rows(probe_ids)], probe_people,
        )  # fmt: skip
        cells = [f"rank {rank}: {_percent(rate)}" for rank, rate in found.ranks.items()]
        cells += [f"FPIR {fpir:g}: {_percent(rate)}" for fpir, rate in found.tpir.items()]
        yield [f"1:N, {path.stem.rsplit('_', 1)[1]}", *cells]


def _template_list(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Templates and people, int64 [n] each, every template once; a header line is skipped."""
    import numpy as np

    try:
        with path.open(newline="") as file:
            lines = [line[:2] for line in csv.reader(file)][1:]
        table = np.unique(np.array(lines, np.int64).reshape(-1, 2), axis=0)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read as a list of templates and people ({error}); copy it again"
        ) from error
    if not len(table):
        raise UserError(f"{path} lists no template; copy it again")
    return table[:, 0], table[:, 1]


def text_table(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Columns side by side for a terminal."""
    rows = [list(map(str, row)) for row in (heads, *lines)]
    columns = max(len(row) for row in rows)
    rows = [row + [""] * (columns - len(row)) for row in rows]
    widths = [max(len(row[at]) for row in rows) for at in range(columns)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )
