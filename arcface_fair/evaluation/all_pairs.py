# SPDX-License-Identifier: MIT
"""Every image against every other: TPR at small FPRs, per group and overall, in bounded memory.

This is the protocol of MFR (FPR 1e-6) and of DigiFace-1M (1e-5, 1e-4): all pairs of images of one
person are genuine, all others impostors. A group's figures come from the pairs within it, those
of "all" from all pairs. Similarities are cosines; a pair is accepted above the threshold, which
is an impostor's own similarity: of N impostors, the (floor(FPR N) + 1)-th highest. Equal ones are
refused together, as in scikit-learn's ROC curve.

Thresholds are exact to float64: tiles are computed in float32, and what float32 leaves in doubt
beside a threshold is computed again. Memory: the embeddings, one tile, 2 FPR N pairs per scope,
and the genuine pairs. N images (where not impostors), D embedding size, F rates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.kept_pairs import genuine_pairs
from arcface_fair.evaluation.scopes import Plan, Scope, rounding_doubt
from arcface_fair.evaluation.tiles import (
    Floats32,
    Ints,
    NumpyProduct,
    Product,
    check_images,
    unit_rows,
    upper_tiles,
    zero_rows_in_words,
)
from arcface_fair.evaluation.verification import Floats

FPRS = (1e-6, 1e-5, 1e-4)
ALL = "all"
TILE = 2048


@dataclass(frozen=True)
class AllPairs:
    """Scopes, "all" first; notes in words about the embeddings."""

    scopes: tuple[Scope, ...]
    notes: tuple[str, ...]


def all_pairs(
    embeddings: ArrayLike,
    identities: ArrayLike,
    groups: Sequence[str] | None = None,
    fprs: Sequence[float] = FPRS,
    *,
    tile: int = TILE,
    device: str | None = None,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
    on_pairs: Callable[[int], object] = lambda count: None,
) -> AllPairs:
    """TPR at each FPR for all images and for each group.

    embeddings: [N, D], any norm. identities: int [N]. groups: a word per image, empty where
    unknown (such images count in "all" alone); `intersections` joins several attributes.
    device: None for NumPy, else a torch device. resamples: draws of people behind each interval
    of ``level``, 0 for none. on_pairs is called after every tile with the number of pairs compared.
    Raises UserError for embeddings that are not finite, or sizes that differ.
    """
    rows = np.asarray(embeddings)
    who = np.asarray(identities)
    words = np.array([""] * len(who) if groups is None else list(groups), object)
    check_images(rows, who, words, fprs)
    if ALL in words:
        raise UserError(f"a group is named {ALL!r}, as the whole is; give the group another name")
    unit, norms = unit_rows(rows)
    order = np.lexsort((who, words))
    people = np.unique(who[order], return_inverse=True)[1]
    setup = _Setup(unit[order], norms[order], rows, order, people)
    del unit  # the second largest array there is
    sections = _sections(words[order])
    genuine = genuine_pairs(people, setup.exact)
    names = [name for name in sections if name]
    inside = [np.arange(len(order)), *(np.arange(*sections[name]) for name in names)]
    doubt = rounding_doubt(rows.shape[1])
    scopes = [
        Plan(name, images, people, fprs, doubt)
        for name, images in zip([ALL, *names], inside, strict=True)
    ]
    product = NumpyProduct(setup.unit) if device is None else _on_device(setup.unit, device)
    _stream(product, scopes, sections, people, tile, on_pairs)
    draws = (resamples, level, seed)
    judged = (
        plan.judge(genuine.among(images), people, setup.exact, draws)
        for plan, images in zip(scopes, inside, strict=True)
    )
    return AllPairs(tuple(judged), (*zero_rows_in_words(rows), *scopes[0].twins_in_words()))


def intersections(*attributes: Sequence[str]) -> list[str]:
    """One word per image from several attributes, "race x gender"; empty where one is unknown."""
    lengths = {len(attribute) for attribute in attributes}
    if len(lengths) != 1:
        raise UserError(
            f"attributes have {sorted(lengths)} entries; give one word per image for each"
        )
    return [" x ".join(row) if all(row) else "" for row in zip(*attributes, strict=True)]


@dataclass(frozen=True)
class _Setup:
    """The images in the order of group and identity. people: codes 0..n-1 by image."""

    unit: Floats32
    norms: Floats
    raw: NDArray
    order: Ints
    people: Ints

    def exact(self, rows: Ints, columns: Ints) -> Floats:
        """Cosines [n] in float64."""
        cosines = np.empty(len(rows))
        for start in range(0, len(rows), 4096):
            part = slice(start, start + 4096)
            a, b = (
                self.raw[self.order[side[part]]].astype(np.float64) / self.norms[side[part], None]
                for side in (rows, columns)
            )
            cosines[part] = np.einsum("ij,ij->i", a, b)
        return cosines


def _stream(
    product: Product,
    scopes: list[Plan],
    sections: dict[str, tuple[int, int]],
    people: Ints,
    size: int,
    on_pairs: Callable[[int], object],
) -> None:
    by_name = {plan.name: plan for plan in scopes}
    names = list(sections)
    starts, ends = np.array(list(sections.values())).T
    for row, column, tile in upper_tiles(starts, ends, size):
        wanted = [by_name[ALL]]
        if row == column and names[row]:
            wanted.append(by_name[names[row]])
        tops = [plan.top for plan in wanted]
        a, b, scores = product.above(tile, min(top.bound for top in tops))
        good = people[a] != people[b]
        if tile[0] == tile[1]:
            good &= a < b
        a, b, scores = a[good], b[good], scores[good]
        for top in tops:
            enough = scores >= top.bound
            top.offer(a[enough], b[enough], scores[enough])
        height, width = (part.stop - part.start for part in tile)
        on_pairs(height * (height - 1) // 2 if tile[0] == tile[1] else height * width)


def _sections(words: NDArray) -> dict[str, tuple[int, int]]:
    names, starts = np.unique(words.astype(str), return_index=True)
    ends = [*starts[1:].tolist(), len(words)]
    return {n: (s, e) for n, s, e in zip(names.tolist(), starts.tolist(), ends, strict=True)}


def _on_device(unit: Floats32, device: str) -> Product:
    from arcface_fair.evaluation.gpu_tiles import TorchProduct

    return TorchProduct(unit, device)
