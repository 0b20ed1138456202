# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.header import is_cut, read_image_header

IMAGE = np.zeros((30, 20, 3), np.uint8)


def coded(suffix, image=IMAGE):
    return cv2.imencode(suffix, image)[1].tobytes()


def with_exif(jpeg, orientation, order="<"):
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    tiff = mark + struct.pack(order + "IHHHIHH", 8, 1, 0x0112, 3, 1, orientation, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (coded(".jpg"), ("jpeg", 20, 30, 3, 8, False)),
        (coded(".jpg", IMAGE[..., 0]), ("jpeg", 20, 30, 1, 8, False)),
        (coded(".png"), ("png", 20, 30, 3, 8, False)),
        (coded(".png", IMAGE[..., 0]), ("png", 20, 30, 1, 8, False)),
        (coded(".png", np.zeros((30, 20, 4), np.uint8)), ("png", 20, 30, 4, 8, False)),
        (coded(".png", np.zeros((30, 20, 3), np.uint16)), ("png", 20, 30, 3, 16, False)),
        (with_exif(coded(".jpg"), 1), ("jpeg", 20, 30, 3, 8, False)),
        (with_exif(coded(".jpg"), 6), ("jpeg", 20, 30, 3, 8, True)),
        (with_exif(coded(".jpg"), 6, ">"), ("jpeg", 20, 30, 3, 8, True)),
    ],
)
def test_the_header_is_that_of_the_image(data, expected):
    assert read_image_header(data)[:6] == expected
    assert not is_cut(data, read_image_header(data))


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_cut_picture_is_noticed_and_bytes_behind_it_are_not(suffix):
    data = coded(suffix, np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8))
    header = read_image_header(data)
    assert is_cut(data[: len(data) // 2], header)
    assert not is_cut(data + bytes(5000), header)


def test_the_end_mark_of_a_thumbnail_is_not_that_of_the_picture():
    jpeg = coded(".jpg")
    block = b"\xff\xd8thumb\xff\xd9"
    data = jpeg[:2] + b"\xff\xe2" + struct.pack(">H", len(block) + 2) + block + jpeg[2:-2]
    assert is_cut(data, read_image_header(data))


def test_anything_else_has_no_header():
    jpeg = coded(".jpg")
    for data in (b"", b"text", b"\xff\xd8", jpeg[:100], b"\xff\xd8\xff\xc0\0\x11\x08", b"GIF89a"):
        assert read_image_header(data) is None
    for length in range(200):
        read_image_header(with_exif(jpeg, 6)[:length])
