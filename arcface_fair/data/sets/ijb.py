# SPDX-License-Identifier: MIT
"""An IJB-B or IJB-C folder as InsightFace hands it out, read and checked.

    loose_crop/NAME                      a loosely cropped face
    meta/ijbX_face_tid_mid.txt           NAME template medium
    meta/ijbX_template_pair_label.txt    template template 0-or-1
    meta/ijbX_name_5pts_score.txt        NAME x1 y1 ... x5 y5 detector-score

Separated by spaces, one a line; the first and the last name the images in the same order.
N images, P pairs.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from arcface_fair.data.image.alignment import align
from arcface_fair.data.image.images import BadImageError, decode
from arcface_fair.errors import UserError


@dataclass(frozen=True)
class IJBFolder:
    """What the lists say.

    names: of the N image files.  templates, media: int64 [N].  landmarks: float32 [N, 5, 2] in
    pixels.  scores: float32 [N], the detector's.  pairs: int64 [P, 2], templates.  same: bool [P].
    """

    folder: Path
    names: tuple[str, ...]
    templates: np.ndarray
    media: np.ndarray
    landmarks: np.ndarray
    scores: np.ndarray
    pairs: np.ndarray
    same: np.ndarray

    def face(self, number: int) -> np.ndarray:
        """uint8 [112, 112, 3] RGB: image ``number`` aligned by its landmarks.

        Raises UserError naming the file if it is missing or damaged.
        """
        path = self.folder / "loose_crop" / self.names[number]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadImageError(
                f"{path} cannot be read ({error.strerror}); the list names it, unpack the images"
            ) from error
        return align(decode(data, str(path)), self.landmarks[number])


def read_ijb(folder: str | Path) -> IJBFolder:
    """The folder of one of the two sets; which, its files' names say.

    Raises UserError if a list is missing or wrong, or if lists do not belong together.
    """
    folder = Path(folder)
    media_lists = sorted((folder / "meta").glob("*_face_tid_mid.txt"))
    if len(media_lists) != 1:
        raise UserError(
            f"{folder / 'meta'} holds {len(media_lists)} files *_face_tid_mid.txt, expected one; "
            "name the folder with meta/ and loose_crop/ of IJB-B or of IJB-C"
        )
    prefix = media_lists[0].name.removesuffix("_face_tid_mid.txt")
    if not (folder / "loose_crop").is_dir():
        raise UserError(f"{folder} has no folder loose_crop; unpack the images there")
    names, numbers = _named(media_lists[0], 2)
    listed = folder / "meta" / f"{prefix}_name_5pts_score.txt"
    listed_names, points = _named(listed, 11)
    if names != listed_names:
        raise UserError(
            f"{media_lists[0].name} and {listed.name} do not name the same images in the same "
            f"order ({len(names)} and {len(listed_names)}); copy both again"
        )
    templates, media = numbers.astype(np.int64).T
    pairs, same = _pairs(folder / "meta" / f"{prefix}_template_pair_label.txt", templates)
    landmarks = points[:, :10].reshape(-1, 5, 2).astype(np.float32)
    scores = points[:, 10].astype(np.float32)
    return IJBFolder(folder, names, templates, media, landmarks, scores, pairs, same)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(f"{path} cannot be read ({reason}); copy the folder meta again") from error


def _named(path: Path, count: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and float64 [N, count]."""
    names: list[str] = []
    cells: list[str] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        name, *rest = line.split() or [""]
        if len(rest) != count:
            raise UserError(
                f"{path}, line {number}: expected a name and {count} numbers, found "
                f"{line[:60]!r}; copy the file again"
            )
        names.append(name)
        cells.append(" ".join(rest))
    numbers = _numbers("\n".join(cells), np.float64)
    if numbers.size != count * len(names) or not numbers.size:
        raise UserError(
            f"{path} holds something that is no number, or nothing; copy the file again"
        )
    return tuple(names), numbers.reshape(-1, count)


def _pairs(path: Path, templates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    text = _text(path)
    numbers = _numbers(text, np.int64)
    lines = text.count("\n") + (not text.endswith("\n"))
    if numbers.size != 3 * lines or not numbers.size:
        raise UserError(
            f"{path}: expected two templates and 0 or 1 in each of its {lines} lines; "
            "copy the file again"
        )
    table = numbers.reshape(-1, 3)
    unknown = table[:, :2][~np.isin(table[:, :2], templates)]
    if unknown.size or not np.isin(table[:, 2], (0, 1)).all():
        raise UserError(
            f"{path} names a template without images ({unknown[0] if unknown.size else 'none'}) "
            "or a label that is neither 0 nor 1; the lists do not belong together, copy them again"
        )
    return table[:, :2], table[:, 2].astype(bool)


def _numbers(text: str, dtype: type) -> np.ndarray:
    """All numbers of a text; fewer where it holds something else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype=dtype, sep=" ")
        except (ValueError, DeprecationWarning):
            return np.empty(0, dtype)
