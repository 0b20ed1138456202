# SPDX-License-Identifier: MIT
"""Encoded images to RGB arrays and back; what cannot be decoded is named."""

from __future__ import annotations

import cv2
import numpy as np

from arcface_fair.errors import UserError

FACE_SIZE = 112  # height and width in pixels of an aligned face


class BadImageError(UserError):
    """A corrupt or unfit image; ``skip_bad_images`` goes on without it."""


def decode(data: bytes, what: str) -> np.ndarray:
    """uint8 [H, W, 3] RGB of an encoded image (JPEG, PNG, ...), as MXNet decodes it.

    Grey becomes RGB, an alpha channel is dropped, 16 bits become 8, EXIF rotation is applied.
    Raises BadImageError naming ``what`` if it cannot be decoded.
    """
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        image = None
    if image is None:
        raise BadImageError(
            f"{what} cannot be decoded as an image ({len(data)} bytes); "
            "replace it, or set skip_bad_images = True to go on without it"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode_face(data: bytes, what: str) -> np.ndarray:
    """As `decode`, and the image must be an aligned face: uint8 [112, 112, 3] RGB."""
    image = decode(data, what)
    if image.shape[:2] != (FACE_SIZE, FACE_SIZE):
        height, width = image.shape[:2]
        raise BadImageError(
            f"{what} is {width} x {height} pixels but training takes aligned faces of "
            f"{FACE_SIZE} x {FACE_SIZE}; align and crop it first"
        )
    return image


def encode(image: np.ndarray, *, quality: int | None = 95) -> bytes:
    """JPEG bytes of uint8 [H, W, 3] RGB at ``quality`` 0..100; lossless PNG if it is None."""
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    if quality is None:
        done, data = cv2.imencode(".png", bgr)
    else:
        done, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV refused to encode an RGB image"
    return data.tobytes()
