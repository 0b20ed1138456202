# SPDX-License-Identifier: MIT
"""From an image file as people have it to the bytes of an aligned 112 x 112 face."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from arcface_fair.data.image.alignment import align
from arcface_fair.data.image.header import is_cut, read_image_header
from arcface_fair.data.image.images import FACE_SIZE, BadImageError, decode, encode
from arcface_fair.data.image.landmarks import Landmarks
from arcface_fair.errors import UserError


@dataclass(frozen=True)
class Crop:
    """How faces are made.

    landmarks: align by these; None takes the images as aligned.  resize: bring square images of
    another size to 112 x 112.  quality: of the JPEG, 0..100; None writes lossless PNG.
    """

    landmarks: Landmarks | None = None
    resize: bool = False
    quality: int | None = 95

    def face(self, path: Path, points: np.ndarray | None = None) -> bytes:
        """The encoded face of the image file.

        points: landmarks [5, 2] in place of the table's. A file that is such a face already (JPEG
        or PNG, 112 x 112, colour, 8 bits, upright) is kept byte for byte.
        Raises BadImageError naming a corrupt file.
        """
        data = _read(path)
        if points is None and self.landmarks is not None:
            points = self.landmarks.find(path)
            if points is None:
                raise BadImageError(
                    f"{path} has no landmarks in {self.landmarks.name}; add them, "
                    "or leave the image out with --skip-bad"
                )
        if points is None and _is_face(data) and _decodes(data, path):
            return data
        image = _decode(data, path)
        if points is None:
            return encode(self._fitted(image, path), quality=self.quality)
        try:
            return encode(align(image, points), quality=self.quality)
        except UserError as error:
            raise BadImageError(f"{path}: {error}") from error

    def _fitted(self, image: np.ndarray, path: Path) -> np.ndarray:
        height, width = image.shape[:2]
        if (height, width) == (FACE_SIZE, FACE_SIZE):
            return image
        if height != width or not self.resize:
            raise BadImageError(
                f"{path} is {width} x {height} pixels, expected an aligned face of {FACE_SIZE} x "
                f"{FACE_SIZE}; give --landmarks to align it"
                + (", or --resize if it is aligned already" if height == width else "")
            )
        shrink = cv2.INTER_AREA if height > FACE_SIZE else cv2.INTER_CUBIC
        return cv2.resize(image, (FACE_SIZE, FACE_SIZE), interpolation=shrink)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadImageError(
            f"{path} cannot be read ({error.strerror}); put it right, "
            "or leave it out with --skip-bad"
        ) from error
    if not data:
        raise BadImageError(
            f"{path} is empty (zero bytes); copy it again, or leave it out with --skip-bad"
        )
    return data


def _is_face(data: bytes) -> bool:
    """Whether a network reads these very bytes as an upright face of the right size."""
    head = read_image_header(data)
    if head is None or head.rotated:
        return False
    return head[1:5] == (FACE_SIZE, FACE_SIZE, 3, 8)


def _decode(data: bytes, path: Path) -> np.ndarray:
    head = read_image_header(data)
    # OpenCV fills what is missing of a cut JPEG with grey and says nothing.
    if head is not None and is_cut(data, head):
        raise BadImageError(
            f"{path} is cut ({len(data)} bytes, no end mark); copy it again, "
            "or leave it out with --skip-bad"
        )
    try:
        return decode(data, str(path))
    except BadImageError as error:
        raise BadImageError(
            f"{path} cannot be decoded as an image ({len(data)} bytes); replace it, "
            "or leave it out with --skip-bad"
        ) from error


def _decodes(data: bytes, path: Path) -> bool:
    return _decode(data, path) is not None
