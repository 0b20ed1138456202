# SPDX-License-Identifier: MIT
from __future__ import annotations

import shutil

import numpy as np
import pytest

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.images import BadImageError, encode
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.packing import pack_people
from arcface_fair.data.record.recordio import unpack
from arcface_fair.data.record.report import inspect_record
from arcface_fair.data.record.sources import Person, open_source
from arcface_fair.errors import UserError
from tests.arcface_fair.data.conftest import face

FILES = ("train.rec", "train.idx", "property", "groups.tsv")


def fill(folder, names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encode(face(number), quality=None))
    return folder


@pytest.fixture
def source(tmp_path):
    names = [f"{race}/{race}_{p}/{n}.png" for race in "AB" for p in range(3) for n in range(4)]
    return fill(tmp_path / "src", names)


def test_real_photographs_give_the_record_that_mxnet_wrote(orl, tmp_path):
    faces = RecordDataset(orl)
    for position, identity in enumerate(faces.identities.tolist()):
        path = tmp_path / "src" / f"p {identity:02d} \u00e9" / f"{position:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(unpack(faces.reader.read(position + 1))[1])
    packed = pack_people(open_source(tmp_path / "src"), tmp_path / "out", Crop())
    assert (packed.images, packed.identities, packed.skipped) == (300, 30, 0)
    for name in FILES[:3]:
        assert (tmp_path / "out" / name).read_bytes() == (orl / name).read_bytes()
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 30)
    assert table.class_names[29] == "p 29 \u00e9"


def test_folders_become_classes_with_their_groups(source, tmp_path):
    pack_people(open_source(source), tmp_path / "out", Crop())
    faces = RecordDataset(tmp_path / "out")
    assert faces.identities.tolist() == [n // 4 for n in range(24)]
    assert all(np.array_equal(faces.read(n), face(n)) for n in range(24))
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 6)
    assert table["race"].words() == ["A"] * 3 + ["B"] * 3
    assert table.class_names == ("A_0", "A_1", "A_2", "B_0", "B_1", "B_2")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert inspect_record(tmp_path / "out").sound


def test_the_number_of_workers_changes_no_byte(source, tmp_path):
    for workers in (1, 4):
        out = tmp_path / str(workers)
        pack_people(open_source(source), out, Crop(quality=80), workers=workers)
    for name in FILES:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "4" / name).read_bytes()


class Stopped(KeyboardInterrupt):
    pass


def pack_until(people, out, stop, **settings):
    def progress(done, total):
        if done == stop:
            raise Stopped

    with pytest.raises(Stopped):
        pack_people(people, out, Crop(), progress=progress, **settings)


@pytest.mark.parametrize("stops", [[1], [5], [7, 13, 23], [24]])
def test_an_interrupted_packing_goes_on_and_gives_the_same_bytes(source, tmp_path, stops):
    (source / "A/A_1/2.png").write_bytes(b"bad")
    people = open_source(source)
    pack_people(people, tmp_path / "whole", Crop(), skip_bad=True)
    for stop in stops:
        pack_until(people, tmp_path / "out", stop, skip_bad=True)
        assert [p.name for p in (tmp_path / "out").iterdir()] == [".pack"]
    packed = pack_people(people, tmp_path / "out", Crop(), skip_bad=True)
    assert packed.resumed == stops[-1]
    for name in (*FILES, "skipped.tsv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "out" / ".pack").exists()


def test_what_a_crash_left_behind_its_journal_is_written_again(source, tmp_path):
    people = open_source(source)
    pack_people(people, tmp_path / "whole", Crop())
    pack_until(people, tmp_path / "out", 9)
    place = tmp_path / "out" / ".pack"
    with (place / "train.rec").open("ab") as file:
        file.write(b"half a rec")
    journal = (place / "journal").read_bytes()
    (place / "journal").write_bytes(journal[:-3])
    assert pack_people(people, tmp_path / "out", Crop()).resumed == 8
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_record_shorter_than_its_journal_is_taken_up_where_it_ends(source, tmp_path):
    people = open_source(source)
    pack_people(people, tmp_path / "whole", Crop())
    pack_until(people, tmp_path / "out", 9)
    rec = tmp_path / "out" / ".pack" / "train.rec"
    rec.write_bytes(rec.read_bytes()[:-10])
    assert pack_people(people, tmp_path / "out", Crop()).resumed == 8
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_other_settings_or_changed_files_start_anew(source, tmp_path):
    people = open_source(source)
    pack_until(people, tmp_path / "out", 9)
    shutil.copytree(tmp_path / "out", tmp_path / "out2")
    assert pack_people(people, tmp_path / "out", Crop(quality=50)).resumed == 0
    (source / "B/B_2/3.png").write_bytes(encode(face(99)))
    assert pack_people(people, tmp_path / "out2", Crop()).resumed == 0


def test_bad_images_and_people_without_any_are_left_out_and_listed(source, tmp_path):
    (source / "A/A_0/0.png").write_bytes(b"")
    for n in range(4):
        (source / f"A/A_1/{n}.png").write_bytes(b"text")
    shutil.rmtree(source / "B/B_0")
    (source / "B/B_0").mkdir()
    packed = pack_people(open_source(source), tmp_path / "out", Crop(), skip_bad=True)
    assert (packed.images, packed.identities, packed.skipped) == (15, 4, 5)
    assert packed.empty == ("A_1", "B_0")
    assert (
        RecordDataset(tmp_path / "out").identities.tolist() == [0] * 3 + [1] * 4 + [2] * 4 + [3] * 4
    )
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 4)
    assert table.class_names == ("A_0", "A_2", "B_1", "B_2")
    skipped = (tmp_path / "out" / "skipped.tsv").read_text().splitlines()
    assert skipped[:3] == [
        "path\treason",
        f"{source}/A/A_0/0.png\tis empty (zero bytes)",
        f"{source}/A/A_1/0.png\tcannot be decoded as an image (4 bytes)",
    ]


def test_without_leave_the_first_bad_image_or_empty_identity_ends_it(source, tmp_path):
    (source / "A/A_1/2.png").write_bytes(b"text")
    with pytest.raises(BadImageError, match=r"A_1/2.png cannot be decoded .+ with --skip-bad"):
        pack_people(open_source(source), tmp_path / "out", Crop())
    assert [p.name for p in (tmp_path / "out").iterdir()] == [".pack"]
    (source / "A/A_9").mkdir()
    with pytest.raises(
        UserError, match=r"identity folder .+A_9 holds no images; add some, .+--skip"
    ):
        pack_people(open_source(source), tmp_path / "new", Crop())
    assert not (tmp_path / "new").exists()


def test_a_repaired_image_lets_the_packing_go_on(source, tmp_path):
    (source / "A/A_1/2.png").write_bytes(b"text")
    with pytest.raises(BadImageError):
        pack_people(open_source(source), tmp_path / "out", Crop())
    (source / "A/A_1/2.png").write_bytes(encode(face(6), quality=None))
    assert pack_people(open_source(source), tmp_path / "out", Crop()).images == 24


def test_nothing_of_use_is_refused(source, tmp_path):
    for path in source.rglob("*.png"):
        path.write_bytes(b"text")
    sentence = r"none of 24 images is of use \(.+0.png cannot be decoded as an image .+; correct"
    with pytest.raises(UserError, match=sentence):
        pack_people(open_source(source), tmp_path / "out", Crop(), skip_bad=True)


def test_output_that_exists_is_replaced_only_by_force(source, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "groups.tsv").write_text("mine")
    with pytest.raises(UserError, match=r"groups.tsv exists already; name another .+ give --force"):
        pack_people(open_source(source), tmp_path / "out", Crop())
    assert (tmp_path / "out" / "groups.tsv").read_text() == "mine"
    pack_people(open_source(source), tmp_path / "out", Crop(), force=True)
    assert (tmp_path / "out" / "groups.tsv").read_text().startswith("identity\tname\trace\n")


def test_a_group_that_no_table_may_hold_is_refused_before_packing(tmp_path):
    fill(tmp_path / "src", ["1/a/1.png", "2/b/1.png"])
    with pytest.raises(UserError, match=r"race is '1', a number; groups are words"):
        pack_people(open_source(tmp_path / "src"), tmp_path / "out", Crop())


def test_names_with_tabs_and_bytes_that_are_no_text_are_spelled_out(tmp_path):
    fill(tmp_path / "src", ["a\tb/1.png"])
    people = [*open_source(tmp_path / "src"), Person("\udcff", {}, tmp_path / "src/a\tb")]
    pack_people(people, tmp_path / "out", Crop())
    table = GroupTable.read(tmp_path / "out" / "groups.tsv", 2)
    assert table.class_names == ("a b", "\\udcff")
