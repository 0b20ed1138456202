# SPDX-License-Identifier: MIT
"""IJB-B and IJB-C: templates of images and video frames, compared one to one.

The protocol of arcface_torch's IJB scripts, test mode N1 D1 F1: the image's and its mirror
image's features are summed (F1), not normalised (N1), and multiplied by the detector's score
(D1). Frames of one medium are averaged, media of one template summed, the sum normalised; a
comparison's score is the cosine. M images, D embedding size, T templates, P comparisons.

One to many: is a face found in a gallery, and is a stranger kept out?

The figures of IJB's 1:N protocol: rank-n identification rates (closed set, of probes whose
person is enrolled), and TPIR at an FPIR (open set): the share of enrolled probes whose own
gallery entry comes first *and* reaches the threshold at which the share FPIR of strangers'
probes finds anybody. G gallery entries, Q probes, D embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from arcface_fair.errors import UserError
from arcface_fair.evaluation.tiles import Ints
from arcface_fair.evaluation.verification import Floats

FPRS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True)
class Templates:
    """ids: int64 [T], rising. features: float64 [T, D], of norm 1 (0 for a zero template)."""

    ids: Ints
    features: Floats

    def rows(self, ids: ArrayLike) -> Ints:
        """Where the templates ``ids`` lie. Raises UserError naming one that has no image."""
        wanted = np.asarray(ids, np.int64)
        places = np.searchsorted(self.ids, wanted).clip(max=len(self.ids) - 1)
        missing = np.flatnonzero(self.ids[places] != wanted)
        if missing.size:
            raise UserError(
                f"template {wanted[missing[0]]} is compared but has no image ({missing.size} such "
                "mentions); take both lists from one release of the data set"
            )
        return places


def pool_templates(
    features: ArrayLike,
    templates: ArrayLike,
    media: ArrayLike,
    detector_scores: ArrayLike | None = None,
) -> Templates:
    """Templates from images' features [M, D] (flips summed, not normalised).

    templates, media: int [M], which template and medium (video, or a number of its own) an image
    belongs to. detector_scores: [M], None for ones. Raises UserError for sizes that differ, or
    features that are not finite.
    """
    rows = np.asarray(features, np.float64)
    whose, medium = np.asarray(templates, np.int64), np.asarray(media, np.int64)
    factor = np.ones(len(rows)) if detector_scores is None else np.asarray(detector_scores)
    if rows.ndim != 2 or not len(rows) or not len(rows) == len(whose) == len(medium) == len(factor):
        raise UserError(
            f"{rows.shape} features, {len(whose)} templates, {len(medium)} media and {len(factor)} "
            "detector scores do not fit together; give one of each per image"
        )
    bad = np.flatnonzero(~np.isfinite(rows).all(1))
    if bad.size:
        raise UserError(
            f"features of {bad.size} of {len(rows)} images hold NaN or infinity, the first of "
            f"image {bad[0]}; the network has probably diverged, use an earlier checkpoint"
        )
    pairs, position = np.unique(np.stack([whose, medium], 1), axis=0, return_inverse=True)
    by_medium = _mean_by(rows * factor[:, None], position.ravel(), len(pairs))
    ids, start = np.unique(pairs[:, 0], return_index=True)
    pooled = np.add.reduceat(by_medium, start, axis=0)
    norms = np.sqrt(np.einsum("ij,ij->i", pooled, pooled))
    return Templates(ids, pooled / np.where(norms > 0, norms, 1.0)[:, None])


def _mean_by(rows: Floats, position: Ints, count: int) -> Floats:
    order = np.argsort(position, kind="stable")
    sizes = np.bincount(position, minlength=count)
    return np.add.reduceat(rows[order], np.cumsum(sizes) - sizes, axis=0) / sizes[:, None]


def compare_templates(templates: Templates, first: ArrayLike, second: ArrayLike) -> Floats:
    """Cosines [P] of the templates ``first`` and ``second`` (ids, int [P])."""
    a, b = templates.rows(first), templates.rows(second)
    if len(a) != len(b):
        raise UserError(f"{len(a)} templates cannot be paired with {len(b)}; give as many of each")
    scores = np.empty(len(a))
    for start in range(0, len(a), 100_000):
        part = slice(start, start + 100_000)
        scores[part] = np.einsum(
            "ij,ij->i", templates.features[a[part]], templates.features[b[part]]
        )
    return scores


def tpr_nearest(scores: ArrayLike, same: ArrayLike, fpr: float) -> float:
    """TPR at the point of the ROC curve whose FPR is nearest to ``fpr``, as upstream prints.

    Points in the middle of a straight piece of the curve do not count (scikit-learn leaves them
    out), and of equally near ones the highest does. The point may lie above ``fpr``, or far from
    it where impostors are few; that of `verification.tpr_at_fpr` never lies above.
    """
    falling = np.sort(np.asarray(scores, np.float64)[~np.asarray(same, bool)])[::-1]
    genuine = np.sort(np.asarray(scores, np.float64)[np.asarray(same, bool)])
    if not len(falling) or not len(genuine):
        return float("nan")
    limits = np.unique(np.concatenate([falling, genuine]))[::-1]
    false = np.searchsorted(-falling, -limits, side="right")
    true = len(genuine) - np.searchsorted(genuine, limits, side="left")
    bends = np.r_[True, (np.diff(false, 2) != 0) | (np.diff(true, 2) != 0), True][: len(limits)]
    distance = np.abs(np.append(0, false[bends]) / len(falling) - fpr)
    nearest = np.flatnonzero(distance == distance.min())
    return float(np.append(0, true[bends])[nearest[-1]] / len(genuine))


def checked_labels(same: ArrayLike, count: int) -> NDArray[np.bool_]:
    """bool [P]. Raises UserError unless there is one per comparison, of both kinds."""
    genuine = np.asarray(same).astype(bool)
    if genuine.shape != (count,) or genuine.all() or not genuine.any():
        raise UserError(
            f"{genuine.size} labels for {count} comparisons, {int(genuine.sum())} of them genuine; "
            "expected one per comparison, of both kinds"
        )
    return genuine


RANKS = (1, 5, 10)
FPIRS = (0.01, 0.1)


@dataclass(frozen=True)
class Identification:
    """ranks: rate by n. tpir: by FPIR; NaN with fewer strangers than 1 / FPIR.

    enrolled, strangers: numbers of probes.
    """

    ranks: dict[int, float]
    tpir: dict[float, float]
    enrolled: int
    strangers: int


def identify(
    gallery: ArrayLike,
    gallery_people: ArrayLike,
    probes: ArrayLike,
    probe_people: ArrayLike,
    *,
    ranks: Sequence[int] = RANKS,
    fpirs: Sequence[float] = FPIRS,
    block: int = 1024,
) -> Identification:
    """Searches Q probes [Q, D] in a gallery [G, D] of unit features, one entry per person.

    gallery_people, probe_people: int [G], [Q]; a probe whose person has no entry is a stranger.
    Entries as similar as the probe's own come before it. Raises UserError for a person enrolled
    twice, or if no probe is enrolled.
    """
    entries, faces = np.asarray(gallery, np.float64), np.asarray(probes, np.float64)
    who, asked = np.asarray(gallery_people), np.asarray(probe_people)
    _check(entries, who, faces, asked)
    order = np.argsort(who)
    position = np.searchsorted(who[order], asked).clip(max=len(who) - 1)
    enrolled = who[order][position] == asked
    own = order[position]
    best, mine, before = (np.empty(len(faces)) for _ in range(3))
    for start in range(0, len(faces), block):
        part = slice(start, start + block)
        scores = faces[part] @ entries.T
        at = np.arange(len(scores))
        mine[part] = scores[at, own[part]]
        before[part] = (scores >= mine[part, None]).sum(1) - 1
        best[part] = scores.max(1)
    strangers = np.sort(best[~enrolled])[::-1]
    hits = before[enrolled], mine[enrolled]
    return Identification(
        {rank: float((hits[0] < rank).mean()) for rank in ranks},
        {fpir: _tpir(*hits, strangers, fpir) for fpir in fpirs},
        int(enrolled.sum()),
        len(strangers),
    )


def _tpir(before: Floats, mine: Floats, strangers: Floats, fpir: float) -> float:
    allowed = int(np.floor(fpir * len(strangers) + 1e-9))
    if allowed < 1:
        return float("nan")
    limit = strangers[allowed] if allowed < len(strangers) else -np.inf
    return float(((before < 1) & (mine > limit)).mean())


def _check(entries: Floats, who: np.ndarray, faces: Floats, asked: np.ndarray) -> None:
    fits = entries.ndim == faces.ndim == 2 and entries.shape[1:] == faces.shape[1:]
    if not fits or len(entries) != len(who) or len(faces) != len(asked):
        raise UserError(
            f"a gallery of {entries.shape} with {len(who)} people and probes of {faces.shape} with "
            f"{len(asked)} do not fit together; give one person per row and one embedding size"
        )
    values, counts = np.unique(who, return_counts=True)
    if (counts > 1).any():
        raise UserError(
            f"person {values[counts > 1][0]} is enrolled {counts.max()} times; "
            "pool a person's images to one template first"
        )
    if not np.isin(asked, who).any():
        raise UserError("no probe's person is enrolled; check that both lists number people alike")
