# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.image.alignment import TEMPLATE
from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import BadImageError, encode
from arcface_fair.data.image.landmarks import Landmarks
from arcface_fair.data.sets import pair_sets
from arcface_fair.data.sets.bins import decode_bin, load_bin
from arcface_fair.data.sets.pair_sets import PairSet, build_set
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


@pytest.fixture
def files(tmp_path):
    for n in range(4):
        (tmp_path / f"{n}.png").write_bytes(encode(face(n), quality=None))
    return [tmp_path / f"{n}.png" for n in range(4)]


def pairs_of(files, crop=None):
    left, right = [files[0], files[0], files[2]], [files[1], files[2], files[3]]
    return PairSet("demo", left, right, [True, False, True], crop or Crop())


def test_a_set_holds_its_pairs_in_order_and_each_image_once(files, tmp_path):
    told = []
    built = build_set(pairs_of(files), tmp_path / "out", progress=told.append)
    images, same = load_bin(tmp_path / "out" / "demo.bin")
    shown = decode_bin(images)
    assert all(np.array_equal(shown[i], face(n)) for i, n in enumerate([0, 1, 0, 2, 2, 3]))
    assert images[0] is images[2]
    assert same.tolist() == [True, False, True]
    assert (built.pairs, built.genuine, built.images, built.dropped) == (3, 2, 4, 0)
    assert str(built) == f"{tmp_path}/out/demo.bin: 3 pairs (2 genuine), 4 images"
    assert sum(told) == 4
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["demo.bin"]


def test_a_bad_image_ends_it_or_its_pairs_are_left_out(files, tmp_path):
    files[1].write_bytes(b"text")
    with pytest.raises(BadImageError, match=r"1.png cannot be decoded as an image"):
        build_set(pairs_of(files), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    built = build_set(pairs_of(files), tmp_path / "out", skip_bad=True)
    assert (built.pairs, built.dropped) == (2, 1)
    assert str(built).endswith("3 images, 1 pairs left out")
    assert load_bin(built.path)[1].tolist() == [False, True]


def test_a_set_without_any_pair_is_refused(files, tmp_path):
    for path in files:
        path.write_bytes(b"")
    with pytest.raises(UserError, match="no pair of demo has two images of use; check the folders"):
        build_set(pairs_of(files), tmp_path / "out", skip_bad=True)


def test_the_distance_of_the_landmarks_from_the_template_is_told(files, tmp_path):
    def told(points):
        numbers = " ".join(repr(float(n)) for n in points.ravel())
        text = "".join(f"{path} {numbers}\n" for path in files)
        (tmp_path / "lmk.txt").write_text(text)
        return build_set(pairs_of(files, Crop(Landmarks(tmp_path / "lmk.txt"))), tmp_path)

    assert told(TEMPLATE).residual == pytest.approx(0, abs=1e-4)
    swapped = told(TEMPLATE[[1, 0, 2, 4, 3]])
    assert swapped.residual > 10
    assert "px from the template" in str(swapped)


def test_what_does_not_come_back_gets_no_name(files, tmp_path, monkeypatch):
    monkeypatch.setattr(pair_sets, "load_bin", lambda path: ([], np.zeros(0, bool)))
    with pytest.raises(UserError, match=r"demo.bin did not come back from the disk as it was wri"):
        build_set(pairs_of(files), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
