# SPDX-License-Identifier: MIT
"""Verification sets are embedded once per image, and say what is odd about them."""

import numpy as np

from arcface_fair.data.sets.bins import decode_bin, write_bin
from arcface_fair.evaluation import raw_pixels, squared_distances
from arcface_fair.judge.sets import VerificationSet, group_name, read_verification_sets
from tests.small_data import picture


def write(path):
    images, same = [], []
    for pair in range(12):
        genuine = pair % 2 == 0
        images += [picture(pair // 2, 0), picture(pair // 2 if genuine else 50, 1)]
        same.append(genuine)
    write_bin(path, images, same)
    return images


def test_an_image_of_many_pairs_is_embedded_once_and_the_figures_are_the_same(tmp_path):
    images = write(tmp_path / "rfw_indian.bin")
    seen = []

    def embed(faces, told):
        seen.append(len(faces))
        told(len(faces))
        return raw_pixels(faces)

    told = []
    (found,) = read_verification_sets([tmp_path / "rfw_indian.bin"]).values()
    pairs = found.compare(embed, told.append)
    rows = raw_pixels(decode_bin(images))
    np.testing.assert_array_equal(pairs.distances, squared_distances(rows[0::2], rows[1::2]))
    assert sum(seen) == sum(told) == len(set(images)) < len(images)
    assert len(np.unique(pairs.sides)) == 7  # six people, and the one that all are compared with


def test_a_repeated_image_is_noted(tmp_path):
    same = [True, False] * 6
    images = [picture(0, 0)] * 2 + [picture(n, 0) for n in range(1, 23)]
    write_bin(tmp_path / "odd.bin", images, same)
    found = VerificationSet.read(tmp_path / "odd.bin")
    assert found.notes == ("1 genuine pairs compare an image with itself",)
    assert found.facts().startswith(f"{tmp_path / 'odd.bin'}, SHA-256 ")


def test_drawn_faces_say_how_they_were_drawn(tmp_path):
    write(tmp_path / "amber_test.bin")
    (tmp_path / "world.json").write_text('{\n "seed": 5\n}')
    facts = VerificationSet.read(tmp_path / "amber_test.bin").facts()
    assert facts.endswith('faces drawn by `arcface-fair synthesize`: { "seed": 5 }')
    (tmp_path / "world.json").write_text("x" * 700)
    assert VerificationSet.read(tmp_path / "amber_test.bin").facts().endswith("x ...")


def test_group_is_the_file_name_without_prefix_and_suffix(tmp_path):
    assert group_name(tmp_path / "rfw_african.bin") == "african"
    assert group_name(tmp_path / "African_test.bin") == "African"
    assert group_name(tmp_path / "orl.bin") == "orl"
