# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import pickle

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.images import encode
from arcface_fair.data.sets.bins import decode_bin, load_bin, write_bin
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


def stored(tmp_path, content, protocol=4):
    (tmp_path / "x.bin").write_bytes(pickle.dumps(content, protocol))
    return tmp_path / "x.bin"


def test_the_real_set_is_read_and_written_back_byte_for_byte(orl, tmp_path):
    images, same = load_bin(orl / "orl.bin")
    assert len(images) == 1200
    assert same.shape == (600,)
    assert same.dtype == bool
    assert same.sum() == 300
    write_bin(tmp_path / "x.bin", images, same)
    assert (tmp_path / "x.bin").read_bytes() == (orl / "orl.bin").read_bytes()


@pytest.mark.parametrize("protocol", range(6))
def test_every_form_in_use_gives_the_same_faces(tmp_path, protocol):
    raw = [face(0), np.asfortranarray(face(1))]
    coded = [encode(image, quality=None) for image in raw]
    vectors = [np.frombuffer(data, np.uint8) for data in coded]
    columns = [vector[:, None] for vector in vectors]
    for images in (coded, vectors, columns, raw, np.stack(raw), tuple(coded)):
        for same in ([True], (1,), np.array([True]), [np.bool_(True)]):
            got, flags = load_bin(stored(tmp_path, (images, same), protocol))
            assert flags.tolist() == [True]
            assert np.array_equal(decode_bin(got), np.stack(raw))


def test_an_image_in_many_pairs_is_kept_once(tmp_path):
    image = face(0)
    got, _ = load_bin(stored(tmp_path, ([image] * 4, [True, True])))
    assert all(data is got[0] for data in got)


def test_other_square_sizes_are_resized():
    assert decode_bin([encode(cv2.resize(face(0), (160, 160)))]).shape == (1, 112, 112, 3)


def test_images_that_are_no_faces_are_named():
    oblong = encode(np.zeros((112, 96, 3), np.uint8))
    with pytest.raises(UserError, match="image 1 of lfw is 96 x 112 pixels; verification takes al"):
        decode_bin([encode(face(0)), oblong], "lfw")
    with pytest.raises(UserError, match="image 0 of lfw cannot be decoded as an image"):
        decode_bin([b"nothing"], "lfw")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"text", r"x.bin holds bytes, expected a pair \(images, same or not\); check where"),
        ([[b"a"] * 2], r"x.bin holds list, expected a pair"),
        (([b"a"] * 3, [True]), "x.bin has 3 images for 1 pairs, expected two per pair"),
        (([], []), "x.bin has 0 images for 0 pairs, expected two per pair and at least one"),
        ((b"ab", [True]), "x.bin has no list of images for 1 pairs"),
        (([b"a"] * 2, [2]), "its second part must be a list of booleans, one per pair; check"),
        (([b"a"] * 2, b"1"), "its second part must be a list of booleans"),
        (([b"a", 1], [True]), r"image 1 of .+x.bin is neither encoded bytes nor .+ \(int\)"),
        (([np.zeros((2, 2)), b""], [True]), r"image 0 of .+ is neither encoded .+ \(ndarray\)"),
        (([np.zeros((2, 2), np.uint8), b""], [True]), "image 0 of .+ is neither encoded"),
    ],
)
def test_other_content_is_refused(tmp_path, content, sentence):
    with pytest.raises(UserError, match=sentence):
        load_bin(stored(tmp_path, content))


class Makes:
    def __reduce__(self):
        return os.mkdir, ("made",)


def test_a_set_that_calls_a_function_is_refused_without_calling_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = stored(tmp_path, ([b"a", Makes()], [True]))
    with pytest.raises(UserError, match=r"verification set .+ holds a call of posix.mkdir; .+"):
        load_bin(path)
    assert not (tmp_path / "made").exists()


def test_a_missing_and_a_cut_set_are_named(tmp_path):
    with pytest.raises(UserError, match=r"absent.bin cannot be read \(No such file"):
        load_bin(tmp_path / "absent.bin")
    path = stored(tmp_path, ([b"a" * 99] * 2, [True]))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match=r"x.bin is no complete pickle .+ cut or damaged, copy it"):
        load_bin(path)


def test_a_set_that_does_not_add_up_is_not_written(tmp_path):
    with pytest.raises(UserError, match=r"x.bin would hold 3 images for 1 pairs; give two images"):
        write_bin(tmp_path / "x.bin", [b""] * 3, [True])
    assert list(tmp_path.iterdir()) == []
