# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np

from arcface_fair.cli.inspect import choose, draw_sheet, row_of
from arcface_fair.data.groups import Attribute
from arcface_fair.data.record.report import inspect_record
from tests.arcface_fair.data.conftest import face


def test_people_are_spread_over_the_record_and_over_every_group(write_record):
    report = inspect_record(write_record([0, 1, 2, 3, 4, 5]))
    assert choose(report, None, 3) == [("", 0), ("", 2), ("", 5)]
    groups = Attribute.of_words(["b", "a", "b", "", "b", "b"])
    assert choose(report, groups, 2) == [("a", 1), ("b", 0), ("b", 5), ("unknown", 3)]


def test_a_row_shows_its_persons_images(write_record):
    report = inspect_record(write_record([0, 0, 1]))
    sheet = draw_sheet(report, people=2, shots=3)
    assert sheet.shape == (2 * 134, 3 * 114, 3)
    assert np.array_equal(sheet[20:132, :112], face(0))
    assert np.array_equal(sheet[20:132, 114:226], face(1))
    assert np.array_equal(sheet[154:266, :112], face(2))
    assert (sheet[20:132, 228:] == 255).all()
    assert (sheet[:20] == 255).mean() < 1


def test_images_of_other_sizes_keep_their_shape():
    row = row_of("\u00e9", [np.zeros((200, 100, 3), np.uint8)], 1)
    assert (row[20:132, :56] == 0).all()
    assert (row[20:132, 56:] == 255).all()
