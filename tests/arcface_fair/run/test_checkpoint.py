# SPDX-License-Identifier: MIT
import os
import resource
from pathlib import Path

import pytest
import torch

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.run.checkpoint import (
    UPSTREAM_KEYS,
    checkpoint_path,
    keep_model,
    load_checkpoint,
    save_checkpoint,
    write_atomically,
)


def state(step, **facts):
    return {**dict.fromkeys(UPSTREAM_KEYS, 0), "global_step": step, "facts": facts}


def test_the_newest_checkpoint_is_loaded_and_the_one_before_is_kept(tmp_path):
    save_checkpoint(tmp_path, state(1))
    save_checkpoint(tmp_path, state(2))
    assert load_checkpoint(tmp_path, {})["global_step"] == 2
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoint_gpu_0.pt",
        "checkpoint_gpu_0.previous.pt",
    }


def test_a_kept_model_is_a_backbone_file_and_each_ranks_centres(tmp_path):
    keep_model(tmp_path, 4, {"fc.weight": torch.ones(2)}, torch.zeros(3, 2))
    model = torch.load(tmp_path / "model_epoch_4.pt", weights_only=True)
    centres = torch.load(tmp_path / "centres_epoch_4_gpu_0.pt", weights_only=True)
    assert list(model) == ["fc.weight"]
    assert centres["weight"].shape == (3, 2)
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(UserError, match=r"cannot write .*centres_epoch_0_gpu_0.pt"):
        keep_model(tmp_path / "gone", 0, {}, torch.zeros(1))


@pytest.fixture
def _files_end_at_64_kib():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("_files_end_at_64_kib")
def test_a_disk_that_fills_up_under_torch_is_said_and_the_old_checkpoint_loads(tmp_path):
    save_checkpoint(tmp_path, state(1))
    with pytest.raises(UserError, match=r"cannot write .*: File too large; free space or choose"):
        save_checkpoint(tmp_path, {**state(2), "weight": torch.zeros(10**5)})
    assert load_checkpoint(tmp_path, {})["global_step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_gpu_0.pt"]


def test_what_is_no_fault_of_the_disk_is_not_blamed_on_it(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("not the disk")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(RuntimeError, match="not the disk"):
        write_atomically({}, tmp_path / "a.pt")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    write_atomically({"a": 1}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot write .*a.pt: No space left on device; free spac"):
        write_atomically({"a": 2}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_of_upstream_without_our_keys_loads(tmp_path):
    torch.save(dict.fromkeys(UPSTREAM_KEYS, 0), checkpoint_path(tmp_path, 0))
    assert load_checkpoint(tmp_path, {"network": "r50"})["epoch"] == 0


def test_facts_that_differ_are_named(tmp_path):
    save_checkpoint(tmp_path, state(1, network="r18"))
    with pytest.raises(UserError, match=r"was written with network 'r18', this run has 'r50'; res"):
        load_checkpoint(tmp_path, {"network": "r50"})


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    torch.save({"weights": 1}, checkpoint_path(tmp_path, 0))
    with pytest.raises(UserError, match=r"has no 'epoch', expected a checkpoint of a training run"):
        load_checkpoint(tmp_path, {})


class Trap:
    def __reduce__(self):
        return (os.mkdir, ("sprung",))


def test_a_checkpoint_that_would_run_code_is_refused_without_running_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({**state(1), "plugins": Trap()}, checkpoint_path(tmp_path, 0))
    with pytest.raises(UserError, match=r"cannot be read as a checkpoint \(UnpicklingError\)"):
        load_checkpoint(tmp_path, {})
    assert not (tmp_path / "sprung").exists()


def save_and_lose(folder: str) -> int:
    """Both ranks write steps 1 and 2; then rank 1 is as if killed before its last rename."""
    path = Path(folder)
    save_checkpoint(path, state(1))
    save_checkpoint(path, state(2))
    if dist.rank() == 1:
        os.replace(path / "checkpoint_gpu_1.previous.pt", path / "checkpoint_gpu_1.pt")
    dist.barrier()
    return load_checkpoint(path, {})["global_step"]


def test_ranks_agree_on_the_newest_step_that_all_hold(run_ranks, tmp_path):
    assert run_ranks(2, save_and_lose, str(tmp_path)) == [1, 1]


def different_steps(folder: str) -> str:
    torch.save(state(1 + dist.rank()), checkpoint_path(Path(folder), dist.rank()))
    dist.barrier()
    try:
        load_checkpoint(Path(folder), {})
    except UserError as error:
        return str(error)
    return "loaded"


def test_checkpoints_of_different_steps_are_refused_on_every_rank(run_ranks, tmp_path):
    messages = run_ranks(2, different_steps, str(tmp_path))
    assert len(set(messages)) == 1
    assert "are of different steps, expected one step that all hold" in messages[0]
