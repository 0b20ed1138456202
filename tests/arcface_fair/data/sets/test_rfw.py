# SPDX-License-Identifier: MIT
from __future__ import annotations

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.alignment import TEMPLATE, align
from arcface_fair.data.sets.bins import decode_bin, load_bin
from arcface_fair.data.sets.pair_sets import build_set
from arcface_fair.data.sets.rfw import rfw_sets
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face

RACES = ("African", "Asian", "Caucasian", "Indian")
POINTS = TEMPLATE * 2 + 15


def photograph(number):
    return cv2.resize(face(number), (250, 250))


@pytest.fixture
def rfw(tmp_path):
    """RFW as it is unpacked: 2 people with 2 photographs per race, 2 pairs."""
    numbers = "\t".join(f"{n:.6f}" for n in POINTS.ravel())
    for r, race in enumerate(RACES):
        texts = tmp_path / "test" / "txts" / race
        texts.mkdir(parents=True)
        lines = []
        for n, image in enumerate(["m.01_0001", "m.01_0003", "m.0b_0001", "m.0b_0002"]):
            path = tmp_path / "test" / "data" / race / image[:4] / f"{image}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            bgr = photograph(10 * r + n)[..., ::-1]
            path.write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
            lines.append(f"/test/data/{race}/{image[:4]}/{image}.jpg\t{n}\t{numbers}\n")
        (texts / f"{race}_lmk.txt").write_text("".join(lines))
        (texts / f"{race}_pairs.txt").write_text("m.01\t1\t3\nm.01\t3\tm.0b\t2\n\n")
    return tmp_path


@pytest.mark.parametrize("inside", ["", "test"])
@pytest.mark.parametrize(
    ("naming", "names"),
    [
        ("rfw", ["rfw_african", "rfw_asian", "rfw_caucasian", "rfw_indian"]),
        ("test", ["African_test", "Asian_test", "Caucasian_test", "Indian_test"]),
    ],
)
def test_every_race_is_a_set_under_either_name(rfw, inside, naming, names):
    assert [one.name for one in rfw_sets(rfw / inside, naming)] == names


def test_the_pairs_of_the_list_are_aligned_by_the_landmarks(rfw, tmp_path):
    indian = rfw_sets(rfw)[3]
    build_set(indian, tmp_path / "out")
    images, same = load_bin(tmp_path / "out" / "rfw_indian.bin")
    assert same.tolist() == [True, False]
    shown = decode_bin(images)
    for place, number in enumerate([30, 31, 31, 33]):
        expected = align(photograph(number), POINTS.astype(np.float32)).astype(int)
        assert np.abs(shown[place] - expected).mean() < 3  # JPEG


def test_a_folder_that_is_not_rfw_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"does not hold RFW \(no folders data and txts .+ on reques"
    ):
        rfw_sets(tmp_path)
    (tmp_path / "txts").mkdir()
    (tmp_path / "data").mkdir()
    with pytest.raises(
        UserError, match=r"txts has no folder African, Asian, .+; unpack RFW's arch"
    ):
        rfw_sets(tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("m.01\t1\t3\nm.01\t1\n", r"African_pairs.txt, line 2: expected PERSON n m or .+ 'm.01"),
        ("m.01\tx\t3\n", "line 1: expected PERSON n m or PERSON n OTHER m, found"),
        ("\n", r"African_pairs.txt is empty; unpack RFW's archive again"),
        (b"\xff", r"African_pairs.txt cannot be read \(not UTF-8 text\)"),
        (None, r"African_pairs.txt cannot be read \(No such file or directory\); unpack RFW"),
    ],
)
def test_a_wrong_pair_list_is_named(rfw, text, sentence):
    path = rfw / "test/txts/African/African_pairs.txt"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UserError, match=sentence):
        rfw_sets(rfw)
