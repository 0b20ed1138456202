# SPDX-License-Identifier: MIT
"""``arcface-fair synthesize``: writes a world, says where, refuses in one sentence."""

from __future__ import annotations

import json

import pytest

from arcface_fair.cli import main
from drawn_faces import WORLDS, World
from drawn_faces.commands.synthesize import draw_world

TINY = ["--identities", "20", "--images", "1", "--test-identities", "8", "--test-images", "4",
        "--pairs", "20"]  # fmt: skip


def test_a_world_is_written_and_listed(tmp_path, capsys):
    assert main(["synthesize", str(tmp_path / "w"), *TINY]) == 0
    out = capsys.readouterr().out
    assert f"record:       {tmp_path / 'w' / 'train.rec'} (20 people, 1 each)" in out
    assert "amber_test.bin, birch_test.bin, coral_test.bin, dune_test.bin" in out


def test_an_existing_folder_is_refused_and_force_replaces_it(tmp_path, capsys):
    arguments = ["synthesize", str(tmp_path / "w"), *TINY]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "exists already; expected a new folder" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


def test_an_unknown_world_lists_the_known_ones(tmp_path, capsys):
    assert main(["synthesize", str(tmp_path / "w"), "--world", "mars"]) == 2
    error = capsys.readouterr().err
    assert "there is no world named 'mars'; known: confounded, control, weak" in error
    assert not list(tmp_path.iterdir())


def test_a_wrong_setting_ends_in_one_sentence(tmp_path, capsys):
    assert main(["synthesize", str(tmp_path / "w"), "--pose", "3"]) == 2
    assert "World.pose is 3.0; expected numbers from 0 to 1" in capsys.readouterr().err


def test_draw_world_leaves_the_same_world_alone(tmp_path):
    world = World(identities=20, images=1)
    folder = draw_world(world, tmp_path / "w", test_identities=0)
    before = (folder / "train.rec").stat().st_ino
    assert draw_world(world, tmp_path / "w", test_identities=0) == folder
    assert (folder / "train.rec").stat().st_ino == before


def test_every_named_world_is_told_by_the_help(capsys):
    with pytest.raises(SystemExit):
        main(["synthesize", "--help"])
    told = capsys.readouterr().out.replace("\n", " ")
    assert not [name for name in WORLDS if name not in told]


@pytest.mark.parametrize("name", ["makeup", "scattered"])
def test_a_world_with_an_extra_component_tells_its_words_as_ground_truth(tmp_path, name):
    assert main(["synthesize", str(tmp_path / "w"), "--world", name, *TINY]) == 0
    columns = (tmp_path / "w" / "attributes.tsv").read_text().splitlines()[0].split("\t")
    assert WORLDS[name].extra[0] in columns
    settings = json.loads((tmp_path / "w" / "world.json").read_text())["world"]
    assert settings["extra"] == list(WORLDS[name].extra)
