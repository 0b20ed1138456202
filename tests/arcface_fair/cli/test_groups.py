# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.cli import main
from arcface_fair.data.groups import GroupTable
from arcface_fair.data.record.writer import write_insightface_record


@pytest.fixture
def record(tmp_path):
    write_insightface_record(tmp_path / "rec", [(b"x", n // 3) for n in range(9)], 3)
    GroupTable.of_words({"group": [""] * 3}, ["Al", "Bo", "Cy"]).write(tmp_path / "rec/groups.tsv")
    return tmp_path / "rec"


def run(*arguments):
    return main(["groups", *map(str, arguments)])


def test_labels_per_image_are_put_to_the_vote(record, tmp_path, capsys):
    (tmp_path / "labels.csv").write_text("key,race\n1,a\n2,a\n3,b\n4,b\n7,c\n8,d\n")
    out = tmp_path / "groups.tsv"
    assert run("vote", record, tmp_path / "labels.csv", "--out", out) == 0
    assert "race: unknown 1, a 1, b 1" in capsys.readouterr().out
    table = GroupTable.read(out, 3)
    assert table["race"].words() == ["a", "b", ""]
    assert table.class_names == ("Al", "Bo", "Cy")
    assert "0\t3\ta\t0.6667\n" in (tmp_path / "groups.shares.tsv").read_text()
    assert run("vote", record, tmp_path / "labels.csv", "--out", out) == 2
    assert "groups.tsv exists already" in capsys.readouterr().err
    assert (
        run("vote", record, tmp_path / "labels.csv", "--out", out, "--force", "--min-share", 0.9)
        == 0
    )
    assert GroupTable.read(out, 3)["race"].words() == ["", "b", ""]


def test_tables_are_joined_and_words_merged(record, tmp_path):
    GroupTable.of_words({"race": ["a", "b", "c"]}).write(tmp_path / "a.tsv")
    GroupTable.of_words({"sex": ["f", "m", ""]}).write(tmp_path / "b.tsv")
    out = tmp_path / "new" / "groups.tsv"
    changes = ["--map", "race:b=a", "race:c="]
    assert run("merge", record, tmp_path / "a.tsv", tmp_path / "b.tsv", "--out", out, *changes) == 0
    table = GroupTable.read(out, 3)
    assert table["race"].words() == ["a", "a", ""]
    assert table["sex"].words() == ["f", "m", ""]


def test_what_cannot_be_is_refused(record, tmp_path, capsys):
    GroupTable.of_words({"race": ["a", "b", "c"]}).write(tmp_path / "a.tsv")
    twice = (tmp_path / "a.tsv", tmp_path / "a.tsv")
    assert run("vote", record, *twice, "--out", tmp_path / "o.tsv") == 2
    assert "2 label tables are given; a vote takes one" in capsys.readouterr().err
    for wrong in ("race", "race:a", ":a=b", "race:=b"):
        assert run("merge", record, twice[0], "--out", tmp_path / "o.tsv", "--map", wrong) == 2
        assert f"--map {wrong!r} is not ATTRIBUTE:OLD=NEW; write" in capsys.readouterr().err
    assert not (tmp_path / "o.tsv").exists()
