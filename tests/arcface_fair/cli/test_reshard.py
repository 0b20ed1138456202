# SPDX-License-Identifier: MIT
"""`arcface-fair reshard` writes all parts or none, and loses no file."""

import pytest
import torch

from arcface_fair.cli import main
from arcface_fair.hosts.embedded import train
from tests.arcface_fair.cli.test_export import disk_with_room_for, refused
from tests.arcface_fair.run.test_reshard import same
from tests.small_data import small_run, write_small_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"))


@pytest.fixture
def run(record, tmp_path):
    return train(small_run(record, tmp_path / "run", num_epoch=1))


def parts(folder):
    return {
        path.name: torch.load(path, weights_only=True)
        for path in sorted(folder.glob("checkpoint_gpu_*.pt"))
    }


def test_a_checkpoint_goes_through_three_and_two_back_to_one(run, record, capsys):
    before = parts(run)["checkpoint_gpu_0.pt"]
    for world_size in (3, 2, 1):
        assert main(["reshard", str(run), "--to", str(world_size)]) == 0
        assert list(parts(run)) == [f"checkpoint_gpu_{rank}.pt" for rank in range(world_size)]
    assert same(parts(run)["checkpoint_gpu_0.pt"], before)
    said = capsys.readouterr().out
    assert "checkpoint of 1 processes, epoch 1, step 6, resharded for 3:" in said
    assert "BatchNorm statistics and the random state are those of rank 0" in said
    assert f"the former parts lie in {run / 'checkpoint_of_3'}" in said
    assert len(parts(run / "checkpoint_of_3")) == 3
    train(small_run(record, run, resume=True, num_epoch=2))
    assert parts(run)["checkpoint_gpu_0.pt"]["global_step"] == 12


def test_another_folder_leaves_the_run_alone(run, tmp_path):
    before = parts(run)
    assert main(["reshard", str(run), "--to", "2", "--out", str(tmp_path / "two")]) == 0
    assert same(parts(run), before)
    assert len(parts(tmp_path / "two")) == 2


def test_folders_without_a_whole_checkpoint_are_refused(run, tmp_path, capsys):
    assert "is no folder; give that of a run" in refused(["reshard", "gone", "--to", 2], capsys)
    said = refused(["reshard", tmp_path, "--to", 2], capsys)
    assert "checkpoint_gpu_0.pt does not exist" in said
    assert main(["reshard", str(run), "--to", "3"]) == 0
    (run / "checkpoint_gpu_1.pt").unlink()
    said = refused(["reshard", run, "--to", 2], capsys)
    assert "lacks checkpoint_gpu_1.pt, one of 3 parts" in said


def test_parts_of_two_runs_and_foreign_files_are_refused(run, tmp_path, capsys):
    assert main(["reshard", str(run), "--to", "2"]) == 0
    path = run / "checkpoint_gpu_1.pt"
    state = torch.load(path, weights_only=True)
    torch.save(state | {"facts": state["facts"] | {"network": "r18"}}, path)
    said = refused(["reshard", run, "--to", 1], capsys)
    assert "rank 1 was written with network r18, that of rank 0 small; put the parts of" in said
    torch.save({"weights": 1}, path)
    assert "has no 'epoch', expected a checkpoint" in refused(["reshard", run, "--to", 1], capsys)


@pytest.mark.parametrize("count", [0, 9])
def test_numbers_of_processes_that_cannot_be_are_refused(count, run, capsys):
    said = refused(["reshard", run, "--to", count], capsys)
    assert f"has 8 classes and cannot be cut for {count} processes" in said
    assert list(parts(run)) == ["checkpoint_gpu_0.pt"]


def test_a_full_disk_leaves_the_checkpoint_as_it_was(run, capsys):
    names = sorted(path.name for path in run.iterdir())
    with disk_with_room_for(50_000):
        said = refused(["reshard", run, "--to", 2], capsys)
    assert "cannot write" in said
    assert sorted(path.name for path in run.iterdir()) == names
