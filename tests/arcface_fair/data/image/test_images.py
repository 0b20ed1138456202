# SPDX-License-Identifier: MIT
from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.images import BadImageError, decode, decode_face, encode
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


def test_png_is_lossless_rgb():
    image = np.zeros((3, 5, 3), np.uint8)
    image[0, 0] = 255, 100, 0
    assert np.array_equal(decode(encode(image, quality=None), "it"), image)


def test_jpeg_is_close_and_smaller_at_lower_quality():
    image = face(1)
    assert np.abs(decode(encode(image), "it").astype(int) - image).mean() < 3
    assert len(encode(image, quality=50)) < len(encode(image, quality=95))


@pytest.mark.parametrize(
    "stored",
    [
        np.full((4, 4), 7, np.uint8),
        np.full((4, 4, 4), 7, np.uint8),
        np.full((4, 4, 3), 7 * 257, np.uint16),
    ],
    ids=["grey", "alpha", "16 bits"],
)
def test_other_kinds_become_8_bit_rgb(stored):
    data = cv2.imencode(".png", stored)[1].tobytes()
    assert np.array_equal(decode(data, "it"), np.full((4, 4, 3), 7))


@pytest.mark.parametrize("data", [b"", b"no image", b"\xff\xd8\xff"])
def test_what_cannot_be_decoded_is_named(data):
    sentence = rf"record 17 of train.rec cannot be decoded as an image \({len(data)} bytes\); .+ s"
    with pytest.raises(BadImageError, match=sentence + "kip_bad_images = True"):
        decode(data, "record 17 of train.rec")
    assert issubclass(BadImageError, UserError)


def test_a_face_has_112_pixels_each_way():
    data = encode(np.zeros((112, 96, 3), np.uint8))
    with pytest.raises(BadImageError, match=r"x.jpg is 96 x 112 pixels but training takes aligned"):
        decode_face(data, "x.jpg")
    assert decode_face(encode(face(0)), "it").shape == (112, 112, 3)
