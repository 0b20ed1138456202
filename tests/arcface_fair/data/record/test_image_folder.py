# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.image.images import encode
from arcface_fair.data.record.image_folder import ImageFolder
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


def fill(folder, names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(face(number), quality=None))


def test_classes_are_sorted_folders_and_images_sorted_files(tmp_path):
    fill(tmp_path, ["b/2.PNG", "b/10.png", "\u00e9 c/1.png", "a/x.png"])
    for other in ("b/notes.txt", "b/.hidden.png", "list.csv"):
        (tmp_path / other).write_text("x")
    (tmp_path / ".cache").mkdir()
    faces = ImageFolder(tmp_path)
    assert faces.class_names == ("a", "b", "\u00e9 c")
    assert faces.identities.tolist() == [0, 1, 1, 2]
    assert faces.identities.dtype == np.int64
    assert [number_of(faces.read(position)) for position in range(4)] == [3, 1, 0, 2]
    assert faces.describe(1) == f"image {tmp_path}/b/10.png"


def number_of(image):
    return next(n for n in range(9) if np.array_equal(face(n), image))


def test_an_empty_identity_is_named(tmp_path):
    fill(tmp_path, ["a/1.png"])
    (tmp_path / "b").mkdir()
    with pytest.raises(UserError, match=r"identity folder .+b holds no images \(.bmp, .jpeg, .+"):
        ImageFolder(tmp_path)


def test_a_folder_without_identities_is_named(tmp_path):
    fill(tmp_path, ["1.png"])
    with pytest.raises(UserError, match="has no sub-folders; put each identity's images in a sub"):
        ImageFolder(tmp_path)


def test_an_image_that_is_bad_or_gone_is_named(tmp_path):
    fill(tmp_path, ["a/1.png", "a/2.png"])
    faces = ImageFolder(tmp_path)
    (tmp_path / "a/1.png").write_bytes(b"text")
    (tmp_path / "a/2.png").unlink()
    with pytest.raises(UserError, match=r"image .+a/1.png cannot be decoded as an image"):
        faces.read(0)
    with pytest.raises(UserError, match=r"image .+a/2.png cannot be read \(No such file .+; it wa"):
        faces.read(1)
