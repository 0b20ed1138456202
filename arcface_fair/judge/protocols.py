# SPDX-License-Identifier: MIT
"""Protocols: pairs of verification sets, all pairs of a record, IJB folders, two models compared.

N images, P pairs, D embedding size.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.sets.ijb import read_ijb
from arcface_fair.data.training.dataset import open_dataset
from arcface_fair.data.training.faces import FaceDataset
from arcface_fair.errors import UserError
from arcface_fair.evaluation.all_pairs import AllPairs, all_pairs, intersections
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.feature_agreement import Agreement, agreement
from arcface_fair.evaluation.groups import FairnessTable, group_table
from arcface_fair.evaluation.templates import (
    FPRS,
    Templates,
    checked_labels,
    compare_templates,
    identify,
    pool_templates,
    tpr_nearest,
)
from arcface_fair.evaluation.verification import squared_distances, ten_fold, tpr_at_fpr
from arcface_fair.judge.inputs import Embed, Sets, VerificationSet, choose_device

READ = 512  # images read at a time


def embed_blocks(
    embed: Embed, read: Callable[[int], NDArray[np.uint8]], count: int, name: str
) -> NDArray[np.float32]:
    """Embeddings [count, D] of images read by number, with a progress bar."""
    rows: NDArray[np.float32] | None = None
    with tqdm(total=count, desc=name, unit="img", leave=False) as bar:
        for start in range(0, count, READ):
            faces = np.stack([read(at) for at in range(start, min(start + READ, count))])
            part = embed(faces, bar.update)
            if rows is None:
                rows = np.empty((count, part.shape[1]), np.float32)
            rows[start : start + len(part)] = part
    if rows is None:
        raise UserError("there are no images to embed; name a folder that holds some")
    return rows


def compare_sets(
    embed: Embed, sets: Mapping[str, VerificationSet], name: str
) -> dict[str, Comparisons]:
    """The model's comparisons by group, with a progress bar over all images."""
    total = sum(len(set(one.images)) for one in sets.values())
    comparisons = {}
    with tqdm(total=total, desc=name, unit="img", leave=False) as bar:
        for group, one in sets.items():
            try:
                comparisons[group] = one.compare(embed, bar.update)
            except UserError as error:
                raise UserError(f"{name}, group {group!r}: {error}") from error
    return comparisons


def judge_sets(
    embed: Embed,
    sets: Mapping[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]],
    name: str,
) -> FairnessTable:
    """The table of one model without intervals, with a progress bar over all images."""
    total = sum(len(images) for images, _ in sets.values())
    pairs = {}
    with tqdm(total=total, desc=name, unit="img", leave=False) as bar:
        for group, (images, same) in sets.items():
            embeddings = embed(images, bar.update)
            try:
                pairs[group] = squared_distances(embeddings[0::2], embeddings[1::2]), same
            except UserError as error:
                raise UserError(f"{name}, group {group!r}: {error}") from error
    return group_table(pairs)


class GroupAgreement(NamedTuple):
    """How two models agree on one group, and their 10-fold accuracies where pairs are known."""

    group: str
    agreement: Agreement
    accuracies: tuple[float, float] | None


EmbedAlone = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def agreement_by_group(first: EmbedAlone, second: EmbedAlone, sets: Sets) -> list[GroupAgreement]:
    """Two models on the same faces. Raises UserError, naming the group, for one it cannot judge."""
    rows = []
    for group, (images, same) in sets.items():
        a, b = (_embed_parts(model, images) for model in (first, second))
        accuracies = None
        try:
            alike = agreement(a, b)
            if same is not None:
                before, after = (float(ten_fold(e[0::2], e[1::2], same).accuracy) for e in (a, b))
                accuracies = before, after
        except UserError as error:
            raise UserError(f"group {group!r}: {error}") from error
        rows.append(GroupAgreement(group, alike, accuracies))
    return rows


def _embed_parts(model: EmbedAlone, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([model(images[at : at + 64]) for at in range(0, len(images), 64)])


def judge_all_pairs(
    embed: Embed,
    record: Path,
    name: str,
    *,
    fprs: Sequence[float],
    groups: Path | None = None,
    attributes: Sequence[str] = (),
    device: str = "auto",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> AllPairs:
    """Every image of the record against every other, by the groups of its table.

    groups: the table, by default groups.tsv in the record; attributes: its columns, several for
    their intersections, by default the first. At most 200 resamples are drawn.
    """
    dataset = open_dataset(record)
    words = _groups_of(dataset, groups or record / "groups.tsv", attributes, groups is not None)
    rows = embed_blocks(embed, dataset.read, dataset.num_images, name)
    total = len(rows) * (len(rows) - 1) // 2
    device = choose_device(device)
    with tqdm(
        total=total, desc=f"{name}, pairs", unit="pairs", unit_scale=True, leave=False
    ) as bar:
        return all_pairs(
            rows,
            dataset.identities,
            words,
            tuple(fprs),
            device=None if device == "cpu" else device,
            resamples=min(resamples, 200),
            level=level,
            seed=seed,
            on_pairs=bar.update,
        )


def _groups_of(
    dataset: FaceDataset, path: Path, attributes: Sequence[str], named: bool
) -> list[str] | None:
    """The group of every image; None without a table that nobody named."""
    if not path.is_file():
        if named or attributes:
            raise UserError(f"there is no group table {path}; name one with --groups")
        return None
    table = GroupTable.read(path, dataset.num_classes)
    by_class = [table[column].words() for column in attributes or [next(iter(table.attributes))]]
    return intersections(*([column[who] for who in dataset.identities] for column in by_class))


def judge_ijb(embed: Embed, folder: Path, name: str) -> tuple[list[str], list[list[str]]]:
    """Rows of 1:1 (and 1:N where its lists are there): heads, and lines of text."""
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
    meta = folder / "meta"
    galleries = sorted(meta.glob("*_1N_gallery_*.csv"))
    probes = sorted(meta.glob("*_1N_probe_mixed.csv"))
    if not galleries or not probes:
        return
    probe_ids, probe_people = _template_list(probes[0])
    for path in galleries:
        ids, people = _template_list(path)
        identification = identify(
            templates.features[templates.rows(ids)], people,
            templates.features[templates.rows(probe_ids)], probe_people,
        )  # fmt: skip
        cells = [f"rank {rank}: {_percent(rate)}" for rank, rate in identification.ranks.items()]
        cells += [f"FPIR {fpir:g}: {_percent(rate)}" for fpir, rate in identification.tpir.items()]
        yield [f"1:N, {path.stem.rsplit('_', 1)[1]}", *cells]


def _template_list(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Templates and people, int64 [n] each, every template once; a header line is skipped."""
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
