# SPDX-License-Identifier: MIT
"""Partitions as files that people read and that any group table can be read from.

A TSV after the rules of group tables: ``identity`` 0..C-1, each once; ``subset`` in letters
(a, b, ...), empty where the identity belongs to none; ``confidence`` as a percentage such as
97.31%, because a group table refuses bare numbers; empty where there is no subset.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from invreg_plugin.assignments import MAX_SUBSETS, NOT_LEARNED, Partition


def subset_name(number: int) -> str:
    """The letters of a subset: 0 is a, 25 is z, 26 is aa."""
    letters = ""
    while number >= 0:
        number, digit = divmod(number, 26)
        letters = chr(ord("a") + digit) + letters
        number -= 1
    return letters


_NUMBERS = {subset_name(number): number for number in range(MAX_SUBSETS)}


def write_partition_tsv(path: str | Path, partition: Partition) -> None:
    """Writes subset and confidence of every identity, whole or not at all."""
    known = partition.subset != NOT_LEARNED
    subsets = [
        subset_name(int(s)) if k else "" for s, k in zip(partition.subset, known, strict=True)
    ]
    shares = [
        f"{100 * c:.2f}%" if k else "" for c, k in zip(partition.confidence, known, strict=True)
    ]
    GroupTable.of_words({"subset": subsets, "confidence": shares}).write(path)


def read_partition_tsv(path: str | Path, num_classes: int) -> Partition:
    """The partition in a file; confidence to 0.0001. UserError for another kind of file."""
    table = GroupTable.read(path, num_classes)
    words, shares = table["subset"].words(), table["confidence"].words()
    subset = np.full(num_classes, NOT_LEARNED, np.uint8)
    confidence = np.zeros(num_classes, np.float32)
    for identity, (word, share) in enumerate(zip(words, shares, strict=True)):
        if not word:
            continue
        where = f"{path}, line of identity {identity}"
        if word not in _NUMBERS:
            raise UserError(
                f"{where}: subset is {word!r}, expected letters such as 'a' or 'b'; read the file "
                "as a group table if it names groups by words"
            )
        subset[identity], confidence[identity] = _NUMBERS[word], _share(share, where)
    known = subset[subset != NOT_LEARNED]
    subsets = int(known.max()) + 1 if len(known) else 0
    return Partition(subset, confidence, subsets, report={"source": str(path)})


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
