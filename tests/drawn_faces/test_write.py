# SPDX-License-Identifier: MIT
"""The written world: readable by the rest of the house, repeatable, whole or absent."""

from __future__ import annotations

import json

import numpy as np
import pytest

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.images import decode_face, encode
from arcface_fair.data.record.recordio import IndexedRecordReader, unpack
from arcface_fair.data.sets.bins import load_bin
from arcface_fair.errors import UserError
from drawn_faces import World, draw_image, write_world
from drawn_faces.write import QUALITY

WORLD = World(identities=20, images=2)
SMALL = {"test_identities": 8, "test_images": 4, "validation_identities": 8, "pairs": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_world(WORLD, tmp_path_factory.mktemp("worlds") / "one", **SMALL).parent


def test_the_record_holds_the_drawn_photographs_under_their_identities(folder):
    assert (folder / "property").read_text() == "20,112,112\n"
    reader = IndexedRecordReader(folder / "train.rec", folder / "train.idx")
    for key, (identity, shot) in {1: (0, 0), 8: (3, 1), 40: (19, 1)}.items():
        header, payload = unpack(reader.read(key))
        assert float(np.ravel(header.label)[0]) == identity
        assert bytes(payload) == encode(draw_image(WORLD, identity, shot), quality=QUALITY)


@pytest.mark.parametrize("split", ["test", "validation"])
@pytest.mark.parametrize("group", WORLD.group_names)
def test_every_group_has_a_readable_set_of_unseen_people(folder, split, group):
    images, same = load_bin(folder / f"{group}_{split}.bin")
    assert same.tolist() == [True, False] * 10
    assert decode_face(images[0], "the first").std() > 20


def test_train_validation_and_test_share_no_photograph(folder):
    held_out = {
        split: {i for path in folder.glob(f"*_{split}.bin") for i in load_bin(path)[0]}
        for split in ("test", "validation")
    }
    reader = IndexedRecordReader(folder / "train.rec", folder / "train.idx")
    train = {bytes(unpack(reader.read(key))[1]) for key in range(1, 41)}
    assert not held_out["test"] & held_out["validation"]
    assert not train & (held_out["test"] | held_out["validation"])


def test_the_tables_are_read_by_the_group_table(folder):
    assert set(GroupTable.read(folder / "groups.tsv", 20).attributes) == {"race", "gender"}
    assert "glasses" in GroupTable.read(folder / "attributes.tsv", 20).attributes


def test_the_summary_tells_settings_and_versions(folder):
    summary = json.loads((folder / "world.json").read_text())
    assert World(**summary["world"]) == WORLD
    assert summary["held_out"]["test"]["identities_per_group"] == 8
    assert set(summary["versions"]) == {"arcface_fair", "numpy", "opencv"}


def test_writing_again_gives_the_same_bytes(folder, tmp_path):
    write_world(WORLD, tmp_path / "two", **SMALL)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_progress_counts_every_photograph(tmp_path):
    calls = []
    write_world(WORLD, tmp_path / "w", test_identities=0, progress=lambda *c: calls.append(c))
    assert calls == [(done, 40) for done in range(1, 41)]
    assert not list((tmp_path / "w").glob("*.bin"))


def test_reuse_draws_only_what_is_not_there(tmp_path):
    calls = []

    def write(world):
        write_world(world, tmp_path / "w", test_identities=0, force=True, reuse=True,
                    progress=lambda *c: calls.append(c))  # fmt: skip

    write(WORLD)
    write(WORLD)
    assert len(calls) == 40
    write(WORLD.control())
    assert len(calls) == 80


def test_too_many_pairs_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="draw more people or images, or ask for fewer pairs"):
        write_world(WORLD, tmp_path / "w", test_identities=4, test_images=2, pairs=200)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_drawing_leaves_nothing(tmp_path):
    def interrupt(done, total):
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_world(WORLD, tmp_path / "w", test_identities=0, progress=interrupt)
    assert list(tmp_path.iterdir()) == []
