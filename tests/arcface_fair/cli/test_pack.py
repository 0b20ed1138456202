# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.cli import main
from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.images import encode
from arcface_fair.data.record.dataset import RecordDataset


@pytest.fixture
def source(tmp_path):
    for number, name in enumerate(["A/m.0", "A/m.1", "B/m.2", "B/m.3"]):
        for shot in range(2):
            path = tmp_path / "src" / name / f"{shot}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(
                encode(np.full((112, 112, 3), 9 * number + shot, np.uint8), quality=None)
            )
    return tmp_path / "src"


def test_a_folder_is_packed_and_the_config_told(source, tmp_path, capsys):
    assert main(["pack", str(source), str(tmp_path / "out")]) == 0
    assert "(num_classes = 4, num_image = 8); look at it with" in capsys.readouterr().out
    assert RecordDataset(tmp_path / "out").num_images == 8
    assert main(["inspect", str(tmp_path / "out"), "--decode"]) == 0


def test_it_never_overwrites_without_force(source, tmp_path, capsys):
    arguments = ["pack", str(source), str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert (
        "train.rec exists already; name another folder, or give --force" in capsys.readouterr().err
    )
    assert main([*arguments, "--force"]) == 0


def test_people_of_a_test_list_are_left_out(source, tmp_path, capsys):
    (tmp_path / "people.txt").write_text("m.1\t2\nm.9\t4\n")
    arguments = [
        "pack",
        str(source),
        str(tmp_path / "out"),
        "--exclude",
        str(tmp_path / "people.txt"),
    ]
    assert main(arguments) == 0
    assert "left out 1 identities that the lists name" in capsys.readouterr().out
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 3)
    assert table.class_names == ("m.0", "m.2", "m.3")
    (tmp_path / "people.txt").write_text("m.0\nm.1\nm.2\nm.3\n")
    assert main([*arguments, "--force"]) == 2
    assert "the lists of --exclude name every identity" in capsys.readouterr().err


def test_what_is_left_out_is_counted(source, tmp_path, capsys):
    (source / "A/m.0/0.png").write_bytes(b"text")
    (source / "A/m.5").mkdir()
    arguments = ["pack", str(source), str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "m.5 holds no images" in capsys.readouterr().err
    assert main([*arguments, "--skip-bad"]) == 0
    assert "left out 1 images (skipped.tsv) and 1 identities" in capsys.readouterr().out


def test_landmarks_align_and_missing_ones_are_named(source, tmp_path, capsys):
    lines = [
        f"{n}/{s}.png 30 40 80 40 55 60 35 90 75 90" for n in ("m.0", "m.1", "m.2") for s in (0, 1)
    ]
    (tmp_path / "lmk.txt").write_text("\n".join(lines))
    arguments = [
        "pack",
        str(source),
        str(tmp_path / "out"),
        "--landmarks",
        str(tmp_path / "lmk.txt"),
    ]
    assert main(arguments) == 2
    assert "B/m.3/0.png has no landmarks in" in capsys.readouterr().err
    assert main([*arguments, "--skip-bad"]) == 0
    assert "went on after 0" not in capsys.readouterr().out
    assert RecordDataset(tmp_path / "out").num_classes == 3


def test_people_of_one_name_are_settled_by_rule(source, tmp_path, capsys):
    (source / "B/m.3").rename(source / "B/m.0")
    arguments = ["pack", str(source), str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "identity 'm.0' occurs 2 times" in capsys.readouterr().err
    assert main([*arguments, "--duplicates", "separate"]) == 0
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 4)
    assert table.class_names == ("A/m.0", "m.1", "B/m.0", "m.2")


def test_wrong_numbers_are_refused(source, tmp_path, capsys):
    for wrong in (["--workers", "0"], ["--quality", "0"]):
        assert main(["pack", str(source), str(tmp_path / "out"), *wrong]) == 2
        assert "expected at least 1, and 1..100" in capsys.readouterr().err


def test_an_interrupt_ends_it_and_the_same_command_goes_on(source, tmp_path, capsys, monkeypatch):
    from arcface_fair.data.record.packing import PackDraft

    add = PackDraft.add
    calls = []

    def add_five(self, person, image):
        calls.append(person)
        if len(calls) == 6:
            raise KeyboardInterrupt
        add(self, person, image)

    monkeypatch.setattr(PackDraft, "add", add_five)
    arguments = ["pack", str(source), str(tmp_path / "out")]
    assert main(arguments) == 130
    assert main(arguments) == 0
    assert "went on after 5 images that were packed before" in capsys.readouterr().out
    assert RecordDataset(tmp_path / "out").identities.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
