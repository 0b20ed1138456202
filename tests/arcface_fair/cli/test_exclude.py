# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.cli import main
from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.images import encode
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.writer import write_insightface_record


@pytest.fixture
def record(tmp_path):
    images = [(encode(np.full((112, 112, 3), n, np.uint8), quality=None), n // 2) for n in range(8)]
    write_insightface_record(tmp_path / "rec", images, 4)
    table = GroupTable.of_words({"race": ["a", "b", "c", "d"]}, ["m.0", "m.1", "m.2", "m.3"])
    table.write(tmp_path / "rec" / "groups.tsv")
    (tmp_path / "African_people.txt").write_text("m.1\t2\nm.77\t3\n")
    return tmp_path / "rec"


def test_people_of_a_list_are_dropped_and_the_rest_renumbered(record, tmp_path, capsys):
    names = ["--names", str(tmp_path / "African_people.txt")]
    assert main(["exclude", str(record), str(tmp_path / "out"), *names]) == 0
    assert "dropped 1 of 4 identities" in (out := capsys.readouterr().out)
    assert "set num_classes = 3, num_image = 6" in out
    faces = RecordDataset(tmp_path / "out")
    assert faces.identities.tolist() == [0, 0, 1, 1, 2, 2]
    assert [int(faces.read(n)[0, 0, 0]) for n in range(6)] == [0, 1, 4, 5, 6, 7]
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 3)
    assert table.class_names == ("m.0", "m.2", "m.3")
    assert table["race"].words() == ["a", "c", "d"]


def test_classes_can_be_dropped_by_number_and_names_come_from_a_list(record, tmp_path):
    (record / "groups.tsv").unlink()
    (tmp_path / "names.txt").write_text("Al\nm.1\nBo\nCy\n")
    arguments = [
        *("exclude", str(record), str(tmp_path / "out"), "--classes", "3"),
        *("--names", str(tmp_path / "African_people.txt")),
        *("--class-names", str(tmp_path / "names.txt")),
    ]
    assert main(arguments) == 0
    assert (tmp_path / "out/renumbered.tsv").read_text() == "identity\twas\n0\t0\n1\t2\n"
    assert not (tmp_path / "out/groups.tsv").exists()


def test_what_cannot_be_is_refused(record, tmp_path, capsys):
    def refused(*arguments):
        assert main(["exclude", str(record), str(tmp_path / "out"), *map(str, arguments)]) == 2
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "nobody is named to leave out; give --names LIST or --classes N" in refused()
    assert "--classes names 4, the record has 0..3; correct the number" in refused("--classes", 4)
    people = tmp_path / "African_people.txt"
    listed = ("--names", people, "--class-names", people)
    assert "has 2 lines but the record has 4 classes; give one name a line" in refused(*listed)
    listed = ("--names", people, "--class-names", tmp_path / "absent")
    assert "absent cannot be read (No such file" in refused(*listed)
    (record / "groups.tsv").write_text("identity\trace\n0\ta\n1\tb\n2\tc\n3\td\n")
    assert "have no names (no column 'name' in a groups.tsv" in refused("--names", people)
    every = refused("--classes", 0, 1, 2, 3)
    assert "no image of" in every
    assert "is left to write" in every


def test_output_that_exists_is_refused_before_the_record_is_read(record, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "property").write_text("x")
    arguments = ["exclude", str(record), str(tmp_path / "out"), "--classes", "0"]
    assert main(arguments) == 2
    assert "property exists already" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0
