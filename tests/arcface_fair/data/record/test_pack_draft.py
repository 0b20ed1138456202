# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
from contextlib import closing

import pytest

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.record.packing import PackDraft
from arcface_fair.data.record.writer import write_insightface_record
from arcface_fair.errors import UserError

MAGIC = b"\x0a\x23\xd7\xce"


def table(count):
    return GroupTable.of_words({"group": ["a"] * count})


def test_a_finished_draft_is_what_the_writer_writes(tmp_path):
    images = [(b"one", 0), (MAGIC * 2, 0), (b"three", 1), (b"x" * 70_000, 2)]
    draft = PackDraft(tmp_path / "a", "plan")
    for image, person in images:
        draft.add(person, image)
    draft.write_groups(table(3))
    draft.finish()
    write_insightface_record(tmp_path / "b", images, 3)
    for name in ("train.rec", "train.idx", "property"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


class Full:
    """A file on a disk that is full."""

    def __init__(self, file):
        self.file = file

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")


SENTENCE = r"cannot be written \(No space left on device\); make room or .+ goes on where it sto"


@pytest.mark.parametrize("at", ["add", "finish"])
def test_a_full_disk_is_one_sentence_and_what_was_saved_stays(tmp_path, at):
    draft = PackDraft(tmp_path, "plan")
    draft.add(0, b"one")
    draft.save()
    draft._rec = Full(draft._rec)
    with pytest.raises(UserError, match=SENTENCE):
        draft.add(0, b"two") if at == "add" else draft.finish()
    draft.close()
    assert [p.name for p in tmp_path.iterdir()] == [".pack"]
    again = PackDraft(tmp_path, "plan")
    assert (again.position, again.num_images) == (1, 1)
    again.write_groups(table(1))
    again.finish()
    assert (tmp_path / "train.rec").exists()


def test_a_disk_that_is_full_at_saving_is_one_sentence(tmp_path, monkeypatch):
    draft = PackDraft(tmp_path, "plan")
    draft.add(0, b"one")

    def flush():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(draft, "_journal", Full(draft._journal))
    monkeypatch.setattr(draft._journal, "writelines", lambda lines: flush(), raising=False)
    with pytest.raises(UserError, match=SENTENCE):
        draft.save()
    draft.close()
    with closing(PackDraft(tmp_path, "plan")) as again:
        assert again.position == 0


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match=r"file cannot be written \(.+\); make room or choose ano"):
        PackDraft(tmp_path / "file", "plan")


def test_reasons_come_back_in_one_line_each(tmp_path):
    draft = PackDraft(tmp_path, "plan")
    draft.leave_out("a\tb\udcff.jpg", "is\nbad")
    draft.close()
    with closing(PackDraft(tmp_path, "plan")) as again:
        assert again.reasons == [("a b\udcff.jpg", "is bad")]
