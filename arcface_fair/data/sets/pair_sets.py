# SPDX-License-Identifier: MIT
"""Which images meet in a verification set, and the set made from their files and checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcface_fair.data.image.alignment import residual, similarity_transform
from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import BadImageError
from arcface_fair.data.record.parallel import ordered_map
from arcface_fair.data.sets.bins import decode_bin, load_bin, write_bin
from arcface_fair.errors import UserError

_CHECKED = 256  # images decoded at a time on the way back


@dataclass(frozen=True)
class PairSet:
    """Pair i is ``left[i]`` and ``right[i]``; same[i]: do they show one person.  name: the file's.

    crop: how this set's faces are made.
    """

    name: str
    left: Sequence[Path]
    right: Sequence[Path]
    same: Sequence[bool]
    crop: Crop


@dataclass(frozen=True)
class Built:
    """What was written.  images: different ones.  dropped: pairs left out for an image of no use.

    residual: median distance in pixels of the moved landmarks from the template; None without
    landmarks.
    """

    path: Path
    pairs: int
    genuine: int
    images: int
    dropped: int
    residual: float | None

    def __str__(self) -> str:
        text = f"{self.path}: {self.pairs} pairs ({self.genuine} genuine), {self.images} images"
        if self.residual is not None:
            text += f", landmarks {self.residual:.1f} px from the template"
        if self.dropped:
            text += f", {self.dropped} pairs left out"
        return text


def build_set(
    pairs: PairSet,
    folder: str | Path,
    *,
    workers: int = 2,
    skip_bad: bool = False,
    progress: Callable[[int], object] = int,
) -> Built:
    """Writes ``folder``/NAME.bin and reads it back before it gets its name.

    skip_bad: leaves out pairs with an image of no use. progress: called with 1 per image.
    Raises UserError naming the image, or if no pair is left.
    """
    path = Path(folder) / f"{pairs.name}.bin"
    # An image in many pairs is made and stored once.
    files = list(dict.fromkeys([*pairs.left, *pairs.right]))
    faces: dict[Path, bytes] = {}
    work = ordered_map(lambda file: _face(pairs.crop, file), files, workers)
    for file, face in zip(files, work, strict=True):
        progress(1)
        if isinstance(face, bytes):
            faces[file] = face
        elif not skip_bad:
            raise face
    chosen = [
        (one, other, bool(same))
        for one, other, same in zip(pairs.left, pairs.right, pairs.same, strict=True)
        if one in faces and other in faces
    ]
    if not chosen:
        raise UserError(
            f"no pair of {pairs.name} has two images of use; check the folders and landmarks"
        )
    _write_checked(path, [faces[file] for pair in chosen for file in pair[:2]], chosen)
    genuine = sum(same for *_, same in chosen)
    dropped = len(pairs.same) - len(chosen)
    return Built(path, len(chosen), genuine, len(faces), dropped, _residual(pairs.crop, faces))


def _face(crop: Crop, file: Path) -> bytes | BadImageError:
    try:
        return crop.face(file)
    except BadImageError as error:
        return error


def _write_checked(path: Path, images: list[bytes], chosen: list[tuple[Path, Path, bool]]) -> None:
    same = [flag for *_, flag in chosen]
    draft = path.with_name(f".{path.name}.{os.getpid()}.check")
    try:
        write_bin(draft, images, same)
        back, flags = load_bin(draft)
        if back != images or flags.tolist() != same:
            raise UserError(
                f"{path} did not come back from the disk as it was written; check the disk"
            )
        unique = list({id(image): image for image in back}.values())
        for start in range(0, len(unique), _CHECKED):
            decode_bin(unique[start : start + _CHECKED], str(path))
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _residual(crop: Crop, files: dict[Path, bytes]) -> float | None:
    if crop.landmarks is None:
        return None
    points = [found for file in files if (found := crop.landmarks.find(file)) is not None]
    return float(np.median([residual(p, similarity_transform(p)) for p in points]))
