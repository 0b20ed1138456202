# SPDX-License-Identifier: MIT
"""Verification sets (.bin): read without running anything they hold, written whole.

A .bin is a pickle of ``(2P encoded images, P booleans)``; images 2i and 2i+1 are pair i, and
the boolean says whether they show the same person. A pickle can call any function on loading,
so `BinUnpickler` knows only the operations that bytes, numbers, lists, tuples and NumPy arrays
need, and builds the arrays itself. P pairs.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from arcface_fair.data.image.images import FACE_SIZE, decode, encode
from arcface_fair.data.sets.bin_unpickler import load_plain
from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files

_REMEDY = "check where the file comes from and copy it again"


def load_bin(path: str | Path) -> tuple[list[bytes], np.ndarray]:
    """The 2P encoded images and bool [P], true where a pair shows one person.

    Pickles of Python 2 and 3 are read, encoded images as bytes or uint8 arrays; raw uint8
    [H, W, 3] arrays, taken as RGB, are encoded as PNG. Nothing in the file is run.
    Raises UserError if the file cannot be read, holds anything else, or is cut.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(
            f"verification set {path} cannot be read ({error.strerror}); correct the path"
        ) from error
    content = load_plain(data, f"verification set {path}")
    del data
    if not (isinstance(content, list | tuple) and len(content) == 2):
        raise UserError(
            f"verification set {path} holds {type(content).__name__}, expected a pair "
            f"(images, same or not); {_REMEDY}"
        )
    same = _flags(content[1], path)
    return _images(content[0], len(same), path), same


def _flags(flags: Any, path: str | Path) -> np.ndarray:
    if isinstance(flags, np.ndarray):
        flags = flags.ravel().tolist()
    if not isinstance(flags, list | tuple) or not all(
        isinstance(flag, bool | np.bool_ | int | np.integer) and flag in (0, 1) for flag in flags
    ):
        raise UserError(
            f"verification set {path}: its second part must be a list of booleans, one per "
            f"pair; {_REMEDY}"
        )
    return np.array(flags, bool)


def _images(images: Any, pairs: int, path: str | Path) -> list[bytes]:
    if isinstance(images, np.ndarray) and images.ndim:
        images = list(images)
    if not isinstance(images, list | tuple) or len(images) != 2 * pairs or not pairs:
        count = len(images) if isinstance(images, list | tuple) else "no list of"
        raise UserError(
            f"verification set {path} has {count} images for {pairs} pairs, expected two per "
            f"pair and at least one pair; {_REMEDY}"
        )
    # Pickles share an object that stands in many pairs; so does the list that is returned.
    encoded: dict[int, bytes] = {}
    for number, image in enumerate(images):
        if id(image) not in encoded:
            encoded[id(image)] = _encoded(image, f"image {number} of {path}")
    return [encoded[id(image)] for image in images]


def _encoded(image: Any, what: str) -> bytes:
    if isinstance(image, bytes | bytearray):
        return bytes(image)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.size:
        if image.ndim == 3 and image.shape[2] == 3:
            return encode(image, quality=None)
        if image.size == max(image.shape):
            return image.tobytes()
    raise UserError(
        f"{what} is neither encoded bytes nor a uint8 array [H, W, 3] "
        f"({type(image).__name__}); {_REMEDY}"
    )


def write_bin(path: str | Path, images: list[bytes], same: np.ndarray | list[bool]) -> None:
    """Writes 2P encoded images and P booleans as InsightFace's tools do, whole or not at all."""
    flags = [bool(flag) for flag in same]
    if len(images) != 2 * len(flags) or not flags:
        raise UserError(
            f"{path} would hold {len(images)} images for {len(flags)} pairs; "
            "give two images per pair and at least one pair"
        )
    content = ([bytes(image) for image in images], flags)
    with atomic_files(path) as (file,):
        pickle.dump(content, file, protocol=4)


def decode_bin(images: list[bytes], what: str = "the verification set") -> np.ndarray:
    """uint8 [2P, 112, 112, 3] RGB; other square sizes are resized (bicubic).

    Raises UserError naming the image and ``what`` for one that cannot be decoded or is no square.
    """
    faces = np.empty((len(images), FACE_SIZE, FACE_SIZE, 3), np.uint8)
    for number, data in enumerate(images):
        image = decode(data, f"image {number} of {what}")
        height, width = image.shape[:2]
        if height != width:
            raise UserError(
                f"image {number} of {what} is {width} x {height} pixels; verification takes "
                f"aligned square faces ({FACE_SIZE} x {FACE_SIZE}), align and crop it first"
            )
        if height != FACE_SIZE:
            image = cv2.resize(image, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_CUBIC)
        faces[number] = image
    return faces
