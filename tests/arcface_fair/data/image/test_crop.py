# SPDX-License-Identifier: MIT
from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.alignment import TEMPLATE, align
from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import BadImageError, decode, encode
from arcface_fair.data.image.landmarks import Landmarks
from tests.arcface_fair.data.conftest import face


def stored(folder, content, name="a.jpg"):
    (folder / name).write_bytes(content)
    return folder / name


def coded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.mark.parametrize("quality", [95, None])
def test_a_face_is_kept_byte_for_byte(tmp_path, quality):
    data = encode(face(0), quality=quality)
    assert Crop().face(stored(tmp_path, data)) == data


def exif(jpeg, orientation):
    tiff = b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, orientation, 0)
    block = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def test_grey_rgba_16_bit_and_rotated_images_become_upright_colour_of_8_bits(tmp_path):
    bgr = face(0)[..., ::-1]
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    cases = {
        "grey": (coded(grey), np.repeat(grey[..., None], 3, 2)),
        "rgba": (coded(np.dstack([bgr, np.full((112, 112), 9, np.uint8)])), face(0)),
        "16 bit": (coded(bgr.astype(np.uint16) * 257), face(0)),
    }
    for name, (data, expected) in cases.items():
        made = Crop(quality=None).face(stored(tmp_path, data))
        assert made != data, name
        assert np.array_equal(decode(made, name), expected), name
    upright = cv2.imencode(".jpg", bgr)[1].tobytes()
    made = Crop(quality=None).face(stored(tmp_path, exif(upright, 6)))
    turned = np.rot90(decode(upright, ""), -1)
    assert np.array_equal(decode(made, "rotated"), turned)


def test_other_sizes_are_resized_only_where_asked(tmp_path):
    large = stored(tmp_path, coded(cv2.resize(face(0), (224, 224))))
    with pytest.raises(BadImageError, match=r"a.jpg is 224 x 224 pixels, .+, or --resize if it is"):
        Crop().face(large)
    assert decode(Crop(resize=True).face(large), "").shape == (112, 112, 3)
    small = stored(tmp_path, coded(cv2.resize(face(0), (56, 56))))
    assert decode(Crop(resize=True).face(small), "").shape == (112, 112, 3)
    oblong = stored(tmp_path, coded(np.zeros((250, 200, 3), np.uint8)))
    with pytest.raises(
        BadImageError, match=r"is 200 x 250 pixels, .+; give --landmarks to align i"
    ):
        Crop(resize=True).face(oblong)


def test_faces_are_aligned_by_the_table_or_by_given_points(tmp_path):
    image = cv2.resize(face(0), (250, 250))
    path = stored(tmp_path, coded(image[..., ::-1]))
    points = (TEMPLATE * 2 + 10).astype(np.float32)
    numbers = " ".join(repr(float(n)) for n in points.ravel())
    (tmp_path / "lmk.txt").write_text(f"{path} {numbers}\n")
    expected = align(image, points)
    by_table = Crop(Landmarks(tmp_path / "lmk.txt"), quality=None).face(path)
    assert np.array_equal(decode(by_table, ""), expected)
    assert np.array_equal(decode(Crop(quality=None).face(path, points), ""), expected)


def test_missing_and_wrong_landmarks_are_named(tmp_path):
    path = stored(tmp_path, encode(face(0)))
    (tmp_path / "lmk.txt").write_text("other.jpg " + "5 " * 10 + "\n")
    with pytest.raises(
        BadImageError, match=r"a.jpg has no landmarks in .+lmk.txt; add them, or lea"
    ):
        Crop(Landmarks(tmp_path / "lmk.txt")).face(path)
    with pytest.raises(BadImageError, match=r"a.jpg: the landmarks .+ are not five different poi"):
        Crop().face(path, np.zeros((5, 2)))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"a.jpg is empty \(zero bytes\); copy it again, or leave it out with --skip-bad"),
        (b"<html>", r"a.jpg cannot be decoded as an image \(6 bytes\); replace it, or leave it"),
        (encode(face(0))[:900], r"a.jpg is cut \(900 bytes, no end mark\); copy it again"),
    ],
)
def test_files_that_are_no_images_are_named(tmp_path, content, sentence):
    with pytest.raises(BadImageError, match=sentence):
        Crop().face(stored(tmp_path, content))


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(BadImageError, match=r"b.jpg cannot be read \(No such file"):
        Crop().face(tmp_path / "b.jpg")
    (tmp_path / "c.jpg").mkdir()
    with pytest.raises(BadImageError, match=r"c.jpg cannot be read \(Is a directory\)"):
        Crop().face(tmp_path / "c.jpg")
