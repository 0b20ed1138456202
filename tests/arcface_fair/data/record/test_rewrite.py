# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.images import encode
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.recordio import RecordHeader, pack
from arcface_fair.data.record.report import inspect_record
from arcface_fair.data.record.rewrite import rewrite_record
from arcface_fair.data.record.writer import IndexedRecordWriter
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face


def test_a_sound_record_is_copied_byte_for_byte(orl, tmp_path):
    assert rewrite_record(inspect_record(orl), tmp_path / "out") == (300, 30)
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "out" / name).read_bytes() == (orl / name).read_bytes()


def test_bad_images_go_and_identities_are_put_in_order_and_renumbered(tmp_path):
    with IndexedRecordWriter(tmp_path / "train.rec", tmp_path / "train.idx") as writer:
        for key, label in enumerate([4, 1, 3, 4, 1]):
            image = b"bad" if key == 2 else encode(face(key), quality=None)
            writer.write(key, pack(RecordHeader(0, float(label), key, 0), image))
    words = {"race": ["a", "b", "c", "d", "e"]}
    GroupTable.of_words(words, list("ABCDE")).write(tmp_path / "groups.tsv")
    assert rewrite_record(inspect_record(tmp_path), tmp_path / "out") == (4, 2)
    faces = RecordDataset(tmp_path / "out")
    assert faces.identities.tolist() == [0, 0, 1, 1]
    assert [np.array_equal(faces.read(n), face(key)) for n, key in enumerate([1, 4, 0, 3])]
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 2)
    assert table["race"].words() == ["b", "e"]
    assert table.class_names == ("B", "E")
    assert (tmp_path / "out" / "renumbered.tsv").read_text() == "identity\twas\n0\t1\n1\t4\n"
    assert inspect_record(tmp_path / "out", decode_images=True).sound


def test_identities_can_be_dropped(orl, tmp_path):
    rewrite_record(inspect_record(orl), tmp_path / "out", drop=[0, 29])
    faces = RecordDataset(tmp_path / "out")
    assert (faces.num_images, faces.num_classes) == (280, 28)
    assert np.array_equal(faces.read(0), RecordDataset(orl).read(10))


def test_what_exists_is_replaced_only_by_force(orl, tmp_path):
    report = inspect_record(orl)
    rewrite_record(report, tmp_path, drop=range(1, 30))
    (tmp_path / "groups.tsv").write_text("of another record")
    with pytest.raises(UserError, match=r"train.rec exists already; name another .+ give --force"):
        rewrite_record(report, tmp_path)
    assert rewrite_record(report, tmp_path, force=True) == (300, 30)
    assert not (tmp_path / "groups.tsv").exists()


def test_the_record_itself_is_never_the_output(orl):
    with pytest.raises(UserError, match="holds the record that is read; name another folder"):
        rewrite_record(inspect_record(orl), orl, force=True)


def test_a_record_without_anybody_is_not_written(orl, tmp_path):
    with pytest.raises(UserError, match=r"no image of .+ is left to write; check what is dropped"):
        rewrite_record(inspect_record(orl), tmp_path / "out", drop=range(30))
    assert not (tmp_path / "out").exists()


def test_a_wrong_group_table_is_refused_before_anything_is_written(write_record, tmp_path):
    folder = write_record([0, 1])
    (folder / "groups.tsv").write_text("identity\trace\n0\ta\n")
    with pytest.raises(UserError, match="ends at line 2 without identity 1"):
        rewrite_record(inspect_record(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()
