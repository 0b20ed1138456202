# SPDX-License-Identifier: MIT
"""One to many: is a face found in a gallery, and is a stranger kept out?

The figures of IJB's 1:N protocol: rank-n identification rates (closed set, of probes whose
person is enrolled), and TPIR at an FPIR (open set): the share of enrolled probes whose own
gallery entry comes first *and* reaches the threshold at which the share FPIR of strangers'
probes finds anybody. G gallery entries, Q probes, D embedding size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from arcface_fair.errors import UserError
from arcface_fair.evaluation.verification import Floats

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
    place = np.searchsorted(who[order], asked).clip(max=len(who) - 1)
    enrolled = who[order][place] == asked
    own = order[place]
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
