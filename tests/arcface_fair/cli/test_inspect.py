# SPDX-License-Identifier: MIT
from __future__ import annotations

import shutil

import cv2
import numpy as np
import pytest

from arcface_fair.cli import main
from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.images import encode
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.writer import write_insightface_record


@pytest.fixture
def record(tmp_path):
    faces = [encode(np.full((112, 112, 3), n, np.uint8), quality=None) for n in range(6)]
    images = [(b"no image" if n == 3 else data, n // 2) for n, data in enumerate(faces)]
    write_insightface_record(tmp_path / "rec", images, 3)
    table = GroupTable.of_words({"race": ["a", "b", ""], "sex": ["f", "f", "m"]})
    table.write(tmp_path / "rec" / "groups.tsv")
    return tmp_path / "rec"


def test_faults_and_groups_are_told_and_exit_with_1(record, capsys):
    assert main(["inspect", str(record)]) == 1
    out = capsys.readouterr().out
    assert "record 4 at byte" in out
    assert "holds no image" in out
    assert "groups:      race: a 1 (2 images), b 1 (1 images), unknown 1 (2 images)" in out
    assert "groups:      sex: f 2 (3 images), m 1 (2 images)" in out


def test_a_repaired_copy_is_sound(record, tmp_path, capsys):
    arguments = ["inspect", str(record), "--repair", str(tmp_path / "clean")]
    assert main(arguments) == 0
    assert "(5 images of 3 identities; renumbered.tsv says which)" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "clean"), "--decode"]) == 0
    assert RecordDataset(tmp_path / "clean").identities.tolist() == [0, 0, 1, 2, 2]
    assert main(arguments) == 2
    assert "train.rec exists already" in capsys.readouterr().err


def test_a_sheet_is_drawn_by_an_attribute(record, tmp_path, capsys):
    sheet = tmp_path / "faces.jpg"
    arguments = ["inspect", str(record), "--sheet", str(sheet), "--attribute", "sex"]
    assert main(arguments) == 1
    assert f"wrote {sheet}" in capsys.readouterr().out
    assert cv2.imread(str(sheet)).shape == (3 * 134, 8 * 114, 3)
    assert main(arguments) == 2
    assert "faces.jpg exists already" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 1


def test_an_attribute_needs_a_table(record, tmp_path, capsys):
    (record / "groups.tsv").unlink()
    arguments = ["inspect", str(record), "--sheet", str(tmp_path / "a.jpg"), "--attribute", "sex"]
    assert main(arguments) == 2
    assert "--attribute is 'sex' but there is no groups.tsv beside" in capsys.readouterr().err


def test_a_lost_index_is_built_again(record, tmp_path, capsys):
    before = (record / "train.idx").read_bytes()
    assert main(["inspect", str(record), "--rebuild-index"]) == 2
    assert "train.idx exists already" in capsys.readouterr().err
    (record / "train.idx").unlink()
    assert main(["inspect", str(record)]) == 1
    assert "index:       train.idx is missing" in capsys.readouterr().out
    main(["inspect", str(record), "--rebuild-index"])
    assert "train.idx (10 records)" in capsys.readouterr().out
    assert (record / "train.idx").read_bytes() == before


def test_what_cannot_be_is_refused(record, tmp_path, capsys):
    assert main(["inspect", str(record), "--workers", "0"]) == 2
    assert "--workers is 0; it must be at least 1" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "absent")]) == 2
    assert "absent cannot be read (No such file or directory)" in capsys.readouterr().err
    shutil.rmtree(record)
    record.mkdir()
    (record / "train.rec").write_bytes(b"nothing!")
    assert main(["inspect", str(record), "--sheet", str(tmp_path / "a.jpg")]) == 2
    assert "holds no image of use; there is nothing to draw" in capsys.readouterr().err
