# SPDX-License-Identifier: MIT
"""Verification sets for the command line: kept encoded, decoded block by block."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arcface_fair.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from arcface_fair.evaluation.comparisons import Comparisons

    Embed = Callable[[NDArray[np.uint8], Callable[[int], object]], NDArray[np.float32]]

BLOCK = 512  # images decoded at a time


@dataclass(frozen=True)
class VerificationSet:
    """One group's ``.bin``: 2P encoded images, bool [P], who is in each pair as far as it tells."""

    path: Path
    images: list[bytes]
    same: NDArray[np.bool_]
    people: NDArray[np.int64]
    notes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> VerificationSet:
        """Raises UserError if the file cannot be read."""
        from arcface_fair.data.sets.bins import load_bin
        from arcface_fair.evaluation.comparisons import people_of_pairs

        images, same = load_bin(path)
        people, notes = people_of_pairs(images, same)
        return cls(path, images, same, people, notes)

    def compare(self, embed: Embed, told: Callable[[int], object]) -> Comparisons:
        """The model's comparisons. Images that stand in several pairs are embedded once."""
        import numpy as np

        from arcface_fair.data.sets.bins import decode_bin
        from arcface_fair.evaluation.comparisons import Comparisons

        place: dict[bytes, int] = {}
        which = np.array([place.setdefault(image, len(place)) for image in self.images])
        different = list(place)
        parts = []
        for start in range(0, len(different), BLOCK):
            faces = decode_bin(different[start : start + BLOCK], f"{self.path} (from {start} on)")
            parts.append(embed(faces, told))
        rows = np.concatenate(parts)[which]
        return Comparisons.of_embeddings(rows[0::2], rows[1::2], self.same, self.people, self.notes)

    def facts(self) -> str:
        """The file's path and SHA-256, and how it was drawn where ``world.json`` tells."""
        told = f"{self.path}, SHA-256 {sha256(self.path)}"
        world = self.path.parent / "world.json"
        if not world.is_file():
            return told
        return f"{told}; faces drawn by `arcface-fair synthesize`: {_one_line(world)}"


def read_verification_sets(bins: Iterable[Path]) -> dict[str, VerificationSet]:
    """Sets by group. Raises UserError for two of one name."""
    sets: dict[str, VerificationSet] = {}
    for path in bins:
        name = group_name(path)
        if name in sets:
            raise UserError(f"two verification sets are named {name!r}; rename one of the files")
        sets[name] = VerificationSet.read(path)
    return sets


def group_name(path: Path) -> str:
    """The group in a file's name: rfw_african.bin and African_test.bin are african and African."""
    return path.stem.removeprefix("rfw_").removesuffix("_test")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _one_line(path: Path) -> str:
    """A small JSON file without its line breaks, cut where it is long."""
    text = " ".join(path.read_text(errors="replace").split())
    return text if len(text) <= 600 else f"{text[:600]} ..."
