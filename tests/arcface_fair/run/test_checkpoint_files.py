# SPDX-License-Identifier: MIT
"""Of the files in a folder, the newest moment that is whole is found."""

import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.run.checkpoint import (
    UPSTREAM_KEYS,
    Save,
    checkpoint_path,
    find_saves,
    load_checkpoint,
    newest_save,
    read_parts,
)


def save(folder, rank, epoch, step, world_size=None, batch=None, name=None, classes=4):
    facts = {"world_size": world_size, "global_batch": batch or 8}
    state = dict.fromkeys(UPSTREAM_KEYS, 0) | {
        "epoch": epoch,
        "global_step": 10 * epoch + step,
        "step": step,
        "state_dict_backbone": {"fc.weight": torch.ones(2, 2)},
        "state_dict_softmax_fc": {"weight": torch.full((classes, 2), float(rank))},
        "state_optimizer": {"state": {}, "param_groups": [{"params": [0]}]},
    }
    path = checkpoint_path(folder, rank)
    path = path if name is None else path.with_suffix(name)
    torch.save(state | ({"facts": facts} if world_size else {}), path)


def test_parts_are_sorted_by_moment_and_rank(tmp_path):
    for rank in (0, 1):
        save(tmp_path, rank, 1, 2, 2)
        save(tmp_path, rank, 1, 1, 2, name=".previous.pt")
    (tmp_path / "checkpoint_gpu_0.tmp").touch()
    found = find_saves(tmp_path)
    assert list(found) == [Save(1, 8, 11, 2), Save(1, 16, 12, 2)]
    assert {rank: path.name for rank, path in found[Save(1, 16, 12, 2)].items()} == {
        0: "checkpoint_gpu_0.pt",
        1: "checkpoint_gpu_1.pt",
    }
    assert [s["global_step"] for s in read_parts(tmp_path)] == [12, 12]


def test_files_of_arcface_torch_count_their_ranks_by_their_names(tmp_path):
    for rank in range(3):
        save(tmp_path, rank, 2, 0)
    assert list(find_saves(tmp_path)) == [Save(2, 0, 20, 3)]


def test_the_newest_is_told_by_images_because_steps_change_with_the_batch(tmp_path):
    """Two ranks went on from step 5 of four with a batch twice as large: step 3 is newer."""
    for rank in range(4):
        save(tmp_path, rank, 1, 5, 4, batch=8)
    for rank in range(2):
        save(tmp_path, rank, 1, 3, 2, batch=16)
        save(tmp_path, rank, 1, 5, 4, batch=8, name=".previous.pt")
    assert len(read_parts(tmp_path)) == 2


def test_a_missing_part_is_named(tmp_path):
    for rank in (0, 2):
        save(tmp_path, rank, 1, 0, 3)
    with pytest.raises(UserError, match=r"lacks checkpoint_gpu_1\.pt, one of 3 parts of its check"):
        read_parts(tmp_path)


def test_parts_of_different_moments_are_refused(tmp_path):
    save(tmp_path, 0, 1, 0, 2)
    save(tmp_path, 1, 2, 0, 2)
    with pytest.raises(UserError, match="are of different steps, expected one step that all hold"):
        read_parts(tmp_path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint_gpu_0\.pt does not exist; start without res"):
        newest_save(tmp_path, [{}])


def test_a_damaged_part_is_named(tmp_path):
    save(tmp_path, 0, 1, 0, 1)
    path = checkpoint_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(UserError, match=r"checkpoint_gpu_0\.pt cannot be read as a checkpoint"):
        read_parts(tmp_path)


def test_four_parts_become_one_process_state(tmp_path):
    for rank in range(4):
        save(tmp_path, rank, 1, 0, 4, classes=3)
    state = load_checkpoint(tmp_path, {"world_size": 1, "global_batch": 2})
    assert state["written_by"] == 4
    rows = state["state_dict_softmax_fc"]["weight"][:, 0].tolist()
    assert rows == [rank for rank in range(4) for _ in range(3)]


def load_where_a_part_is_hidden(folder):
    """Rank 1 looks into a folder of its own, as on a machine without a shared disk."""
    from pathlib import Path

    from arcface_fair import dist

    try:
        load_checkpoint(Path(folder) / str(dist.rank()), {})
    except UserError as error:
        return str(error)
    return "loaded"


def test_parts_on_another_machine_are_asked_for_on_every_rank(run_ranks, tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    for part in range(3):
        save(tmp_path / "0", part, 1, 0, 3)
    messages = run_ranks(2, load_where_a_part_is_hidden, str(tmp_path))
    assert len(set(messages)) == 1
    assert "rank 1 does not find" in messages[0]
    assert "to resume with 2 processes instead of 3, put all parts" in messages[0]


def load_own_part(folder):
    """Each rank has a folder of its own, which holds its own part alone."""
    from pathlib import Path

    from arcface_fair import dist

    own = Path(folder) / str(dist.rank())
    try:
        return load_checkpoint(own, {"num_classes": 8})["state_dict_softmax_fc"]["weight"][0, 0]
    except UserError as error:
        return str(error)


def test_files_of_arcface_torch_on_two_machines_are_two_parts(run_ranks, tmp_path):
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
        save(tmp_path / str(rank), rank, 1, 0)
    assert run_ranks(2, load_own_part, str(tmp_path)) == [0.0, 1.0]
    checkpoint_path(tmp_path / "0", 0).rename(checkpoint_path(tmp_path / "1", 0))
    messages = run_ranks(2, load_own_part, str(tmp_path))
    assert "rank 0 does not find" in messages[1]
    assert messages[0].endswith("checkpoint_gpu_0.pt; copy it there")


def test_another_number_of_classes_is_told_by_the_class_centres(tmp_path):
    save(tmp_path, 0, 1, 0, classes=5)
    with pytest.raises(
        UserError, match="gives rank 0 5 classes, this run of 8 classes wants 8; re"
    ):
        load_checkpoint(tmp_path, {"num_classes": 8})
