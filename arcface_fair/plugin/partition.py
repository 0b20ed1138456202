# SPDX-License-Identifier: MIT
"""A partition of the identities: its type, its file, and how alike two of them are.

One plugin makes partitions, others use them without importing it: the newest one lies in
``session.shared[PARTITION]`` as uint8 [C], and ahead of time ``session.shared[STAGES]`` holds its
maker's name and the epochs before which it makes one. C identities, K subsets.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError

PARTITION, STAGES = "identity_partition", "identity_partition_stages"
NOT_ASSIGNED = 255  # marks, in uint8, an identity that belongs to no subset
MAX_SUBSETS = 254

_STAGE_FILE = re.compile(r"stage_(\d+)\.tsv")


def subset_name(number: int) -> str:
    """The letters of a subset: 0 is a, 25 is z, 26 is aa."""
    letters = ""
    while number >= 0:
        number, digit = divmod(number, 26)
        letters = chr(ord("a") + digit) + letters
        number -= 1
    return letters


_NUMBERS = {subset_name(number): number for number in range(MAX_SUBSETS)}


def codes_of(subset: np.ndarray) -> np.ndarray:
    """uint8 [C] as int64 with -1, not 255, where an identity belongs to no subset."""
    return np.where(subset == NOT_ASSIGNED, -1, subset.astype(np.int64))


def stage_path(folder: Path, number: int) -> Path:
    """The file of partition ``number``, from 1, of the run in ``folder``."""
    return folder / "partitions" / f"stage_{number}.tsv"


def stage_files(folder: Path) -> dict[int, Path]:
    """The partition files of a run by number, in order; empty where there are none."""
    files = (folder / "partitions").glob("stage_*.tsv")
    matches = {path: _STAGE_FILE.fullmatch(path.name) for path in files}
    return dict(sorted((int(match[1]), path) for path, match in matches.items() if match))


def check_subsets(subsets: int, num_identities: int) -> None:
    """Refuses a number of subsets that cannot be."""
    if isinstance(subsets, bool) or not isinstance(subsets, int):
        raise UserError(f"subsets is {subsets!r}, expected a whole number from 2; set it to 2")
    if not 2 <= subsets <= MAX_SUBSETS:
        raise UserError(
            f"subsets is {subsets}, expected 2..{MAX_SUBSETS}; a partition needs at least two "
            "subsets, set it to 2"
        )
    if num_identities < subsets:
        raise UserError(
            f"{num_identities} identities with images cannot fill {subsets} subsets, expected at "
            "least one identity per subset; lower subsets or train on more identities"
        )


@dataclass(frozen=True)
class Partition:
    """Which subset each identity belongs to.

    subset: uint8 [C] in 0..K-1, 255 = none.  names: one per subset; letters, unless the subsets
    are the words of a table.  confidence: float32 [C], the soft weight of that subset, 0..1, 0
    where there is none.
    """

    subset: np.ndarray
    names: tuple[str, ...]
    confidence: np.ndarray

    @classmethod
    def of_subset(
        cls, subset: np.ndarray, num_subsets: int | None = None, names: tuple[str, ...] = ()
    ) -> Partition:
        """Of uint8 [C], sure of every identity. Without names, K letters; without K, those used."""
        known = subset != NOT_ASSIGNED
        count = int(codes_of(subset).max(initial=-1)) + 1 if num_subsets is None else num_subsets
        names = names or tuple(subset_name(number) for number in range(count))
        return cls(subset, names, known.astype(np.float32))

    @classmethod
    def random(cls, num_classes: int, num_subsets: int, seed: int) -> Partition:
        """A control: identities drawn at random, subset sizes differing by at most one."""
        check_subsets(num_subsets, num_classes)
        subset = np.random.default_rng(seed).permutation(np.arange(num_classes) % num_subsets)
        return cls.of_subset(subset.astype(np.uint8), num_subsets)

    @classmethod
    def of_codes(cls, codes: np.ndarray) -> Partition:
        """Ground truth: codes int64 [C] of a known attribute, 0..K-1, negative = unknown."""
        codes = np.asarray(codes)
        if codes.ndim != 1 or not np.issubdtype(codes.dtype, np.integer):
            raise UserError(
                f"codes have shape {codes.shape} and dtype {codes.dtype}, expected one whole "
                "number per identity; pass the codes of one column of the group table"
            )
        known = codes >= 0
        num_subsets = int(codes[known].max()) + 1 if known.any() else 0
        check_subsets(num_subsets, int(known.sum()))
        return cls.of_subset(np.where(known, codes, NOT_ASSIGNED).astype(np.uint8), num_subsets)

    def shuffled(self, seed: int) -> Partition:
        """The sharper control: the same subset sizes, their members drawn at random."""
        known = self.subset != NOT_ASSIGNED
        subset = self.subset.copy()
        subset[known] = np.random.default_rng(seed).permutation(subset[known])
        return Partition(subset, self.names, known.astype(np.float32))

    @property
    def sizes(self) -> list[int]:
        """Identities in each subset."""
        known = self.subset[self.subset != NOT_ASSIGNED]
        return np.bincount(known, minlength=len(self.names)).tolist()

    @property
    def digest(self) -> str:
        """A fingerprint that changes with any identity's subset."""
        return digest_of(self.subset)

    def images(self, identities: np.ndarray) -> np.ndarray:
        """Images in each subset, int64 [K], from the identity of every image."""
        subset = self.subset[identities]
        return np.bincount(subset[subset != NOT_ASSIGNED], minlength=len(self.names))

    def words(self) -> list[str]:
        """The name of every identity's subset, empty where there is none."""
        return [self.names[code] if code >= 0 else "" for code in codes_of(self.subset).tolist()]

    def write(self, path: str | Path) -> None:
        """A group table, whole or not at all, with the columns subset and confidence.

        Confidence is a percentage such as 97.31%, because a group table refuses bare numbers;
        both are empty where the identity belongs to no subset.
        """
        words = self.words()
        shares = [
            f"{100 * share:.2f}%" if word else ""
            for share, word in zip(self.confidence, words, strict=True)
        ]
        GroupTable.of_words({"subset": words, "confidence": shares}).write(path)

    @classmethod
    def read(cls, path: str | Path, num_classes: int) -> Partition:
        """What `write` wrote, confidence to 0.0001. Raises UserError for another kind of file."""
        table = GroupTable.read(path, num_classes)
        words, shares = table["subset"].words(), table["confidence"].words()
        subset = np.full(num_classes, NOT_ASSIGNED, np.uint8)
        confidence = np.zeros(num_classes, np.float32)
        for identity, (word, share) in enumerate(zip(words, shares, strict=True)):
            if not word:
                continue
            where = f"{path}, line of identity {identity}"
            if word not in _NUMBERS:
                raise UserError(
                    f"{where}: subset is {word!r}, expected letters such as 'a' or 'b'; read the "
                    "file as a group table if it names groups by words"
                )
            subset[identity], confidence[identity] = _NUMBERS[word], _share(share, where)
        return cls(subset, cls.of_subset(subset).names, confidence)


def digest_of(subset: np.ndarray) -> str:
    """A fingerprint of uint8 [C]."""
    return hashlib.sha256(np.ascontiguousarray(subset, np.uint8).tobytes()).hexdigest()


def _share(text: str, where: str) -> float:
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(
            f"{where}: confidence is {text!r}, expected a percentage such as 97.31%; restore the "
            "file or write it again"
        )
    return value


class Agreement(NamedTuple):
    """How alike two partitions are, over the identities that both know; 0..1 each."""

    nmi: float
    best_match_accuracy: float


def agreement(a: np.ndarray, b: np.ndarray) -> Agreement:
    """Normalised mutual information and the accuracy under the best renaming of subsets.

    a, b: whole numbers [C]; unknown is a negative number, and 255 in a uint8 array.
    NMI = I(a; b) / ((H(a) + H(b)) / 2), 0 where both are constant. The best match maps subsets one
    to one; where one side has more, the rest count as wrong. NaN where no identity is known to
    both. Raises UserError for other shapes.
    """
    a, b = (_negative_where_unknown(np.asarray(side)) for side in (a, b))
    if a.shape != b.shape or a.ndim != 1:
        raise UserError(
            f"partitions have shapes {a.shape} and {b.shape}, expected one value per identity in "
            "both; compare partitions of the same record"
        )
    known = (a >= 0) & (b >= 0)
    if not known.any():
        return Agreement(float("nan"), float("nan"))
    table = _table(_ranked(a[known]), _ranked(b[known]))
    return Agreement(_nmi(table), float(_best_match(table) / table.sum()))


def chance_agreement(a: np.ndarray, b: np.ndarray, *, shuffles: int = 100, seed: int = 0) -> float:
    """The NMI that ``b`` with its values shuffled reaches in 95 of 100 cases at most.

    Finite samples share some information by chance, the more the more values they have; an NMI
    below this one shows nothing. Arguments as in :func:`agreement`.
    """
    known = (a >= 0) & (b >= 0)
    if not known.any():
        return float("nan")
    first, second = _ranked(a[known]), _ranked(b[known])
    generator = np.random.default_rng(seed)
    scores = [_nmi(_table(first, generator.permutation(second))) for _ in range(shuffles)]
    return float(np.quantile(scores, 0.95))


def _negative_where_unknown(subset: np.ndarray) -> np.ndarray:
    # Only a uint8 array is a partition; in the codes of an attribute 255 is a value like others.
    return codes_of(subset) if subset.dtype == np.uint8 else subset.astype(np.int64)


def _ranked(values: np.ndarray) -> np.ndarray:
    """The values renamed to 0, 1, ... without gaps."""
    return np.unique(values, return_inverse=True)[1]


def _table(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How often each pair of ranked values occurs, int64 [values of a, values of b]."""
    width = int(b.max()) + 1
    return np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _nmi(table: np.ndarray) -> float:
    rows, columns = _entropy(table.sum(1)), _entropy(table.sum(0))
    if rows + columns == 0:
        return 0.0
    shared = rows + columns - _entropy(table)
    return float(np.clip(2 * shared / (rows + columns), 0.0, 1.0))


def _best_match(table: np.ndarray) -> int:
    """Largest sum of entries of which no two share a row or a column."""
    return int(table[linear_sum_assignment(table, maximize=True)].sum())
