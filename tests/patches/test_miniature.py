# SPDX-License-Identifier: MIT
"""Install, train, resume and undo on a miniature of arcface_torch, on CPU, with gloo."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from arcface_fair.cli._patching import installer
from arcface_fair.data.record.writer import write_insightface_record
from tests.patches.hosts import MINIATURE, NOT_IN_MINIATURE, install, losses, miniature, run
from tests.small_data import picture, write_small_record

GROUPS = "identity\tkind\n" + "".join(f"{i}\t{'ab'[i % 2]}\n" for i in range(8))


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = write_small_record(tmp_path_factory.mktemp("record"))
    (folder / "groups.tsv").write_text(GROUPS)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return install(
        miniature(tmp_path_factory.mktemp("mini") / "arcface_torch"), without=NOT_IN_MINIATURE
    )


def config(record, output, **changes):
    return {"rec": str(record), "output": str(output), **changes}


BOTH = {
    "plugins": ["invreg_plugin", "gabn_plugin"],
    "invreg": {"stages": (0, 1), "weight": 0.5},
    "gabn": {"adversarial": False, "rectangles": 2},
}


@pytest.fixture(scope="module")
def whole(home, record, tmp_path_factory):
    """An uninterrupted run of both plugins, and its folder."""
    output = tmp_path_factory.mktemp("whole") / "run"
    settings = config(record, output, **BOTH, checkpoint_steps=4, val_targets=["unseen"], verbose=6)
    return losses(home, settings, output.with_suffix(".losses")), output


def test_both_plugins_train_save_and_verify(whole):
    seen, output = whole
    assert [step for step, _ in seen] == list(range(1, 13))
    state = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)
    assert (state["epoch"], state["global_step"], state["step"]) == (2, 12, 0)
    assert set(state["plugins"]) == {"invreg", "gabn"}
    assert state["plugins"]["invreg"]["num_subsets"] == [2, 2]
    assert list(state["state_dict_softmax_fc"]) == ["weight"]
    assert (output / "partitions" / "stage_2.tsv").is_file()
    known = json.loads((output / "config.json").read_text())
    assert (known["network"], known["num_classes"]) == ("tiny", 8)


def test_a_killed_run_goes_on_within_its_epoch_with_the_same_losses(home, record, tmp_path, whole):
    settings = config(record, tmp_path / "run", **BOTH, checkpoint_steps=4)
    first = losses(home, settings, tmp_path / "a", kill_at=10)
    assert first == whole[0][:10]
    again = losses(home, {**settings, "resume": True}, tmp_path / "b")
    assert again == whole[0][8:]


def test_two_processes_go_on_from_the_checkpoint_of_one(home, record, whole):
    _, output = whole
    settings = config(
        record, output, **BOTH, num_epoch=3, batch_size=4, resume=True, sample_rate=0.5
    )
    seen = losses(home, settings, output.with_suffix(".two"), processes=2)
    assert [step for step, _ in seen] == list(range(13, 19))
    states = [torch.load(output / f"checkpoint_gpu_{r}.pt", weights_only=True) for r in (0, 1)]
    assert [len(s["state_dict_softmax_fc"]["weight"]) for s in states] == [4, 4]
    assert all(s["facts"]["world_size"] == 2 for s in states)
    for name, value in states[0]["state_dict_backbone"].items():
        if "running" not in name:
            torch.testing.assert_close(value, states[1]["state_dict_backbone"][name])


def test_a_run_without_plugins_keeps_upstreams_head_and_its_checkpoints_load_there(
    home, record, tmp_path
):
    done = run(home, config(record, tmp_path / "run", num_epoch=1))
    assert done.returncode == 0, done.stdout[-2000:]
    assert "step 6 loss" in done.stdout
    state = torch.load(tmp_path / "run" / "checkpoint_gpu_0.pt")
    assert state["plugins"] == {}
    momentum = state["state_optimizer"]["state"][max(state["state_optimizer"]["state"])]
    assert momentum["momentum_buffer"].shape == (8, 16)


def test_the_step_schedule_and_a_config_that_chooses_our_head(home, record, tmp_path):
    changes = {"lr_schedule": "step", "lr_steps": (1,), "kernel": "dense", "margin_scale": 16.0}
    done = run(home, config(record, tmp_path / "run", **changes, shift=2))
    assert done.returncode == 0, done.stdout[-2000:]
    state = torch.load(tmp_path / "run" / "checkpoint_gpu_0.pt", weights_only=True)
    assert state["state_lr_scheduler"]["_last_lr"] == pytest.approx([0.005, 0.005])
    assert "config.shift is ignored by arcface_torch" in done.stdout


@pytest.fixture
def damaged(tmp_path):
    """A record whose image 17 is no image."""
    pictures = [(picture(i, s), i) for i in range(8) for s in range(6)]
    pictures[16] = (b"no image at all", pictures[16][1])
    folder = tmp_path / "damaged"
    write_insightface_record(folder, iter(pictures), 8, 112)
    return folder


def test_a_damaged_image_ends_the_run_with_its_record(home, damaged, tmp_path):
    done = run(home, config(damaged, tmp_path / "run"), timeout=60)
    assert done.returncode == 2
    last = done.stdout.strip().splitlines()[-1]
    assert last.startswith("arcface-fair: record 17 of")
    assert "cannot be decoded as an image" in last


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [{"plugins": ["invreg_plugin"], "invreg": {"stages": (1,)}}, {"plugins": []}],
    ids=["our head", "upstream's"],
)
def test_a_damaged_image_on_one_rank_ends_both_with_one_sentence(home, damaged, tmp_path, changes):
    settings = {**config(damaged, tmp_path / "run", batch_size=4), **changes}
    done = run(home, settings, processes=2, timeout=120)
    ends = re.findall(r"  exitcode *: (-?\d+) \(pid: (\d+)\)", done.stdout)
    assert {code for code, _ in ends} == {"2"}
    assert len({process for _, process in ends}) == 2
    assert done.stdout.count("arcface-fair: record 17 of") == 1
    assert done.stdout.count("arcface-fair: ") == 1
    assert "record 17 of" in done.stdout[done.stdout.index("Root Cause") :]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"plugins": ["no_such_plugin"]}, "config.plugins names 'no_such_plugin'"),
        ({"val_targets": ["absent"]}, "absent.bin, which does not exist"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_said_before_training(home, record, tmp_path, changes, sentence):
    done = run(home, {**config(record, tmp_path / "run"), **changes})
    assert done.returncode == 2
    assert sentence in done.stdout.strip().splitlines()[-1]
    assert "step 1 loss" not in done.stdout


GROUP_WRITER = """
from dataclasses import dataclass
from pathlib import Path
from arcface_fair.plugin.parts import Hook, Plugin
NAME = "group_writer"
@dataclass(frozen=True)
class Settings:
    path: str = ""
class Writer(Hook):
    def __init__(self, path):
        self.path = Path(path)
    def after_loss(self, session):
        step = session.step
        with self.path.open("a") as file:
            file.write(f"{step.labels.tolist()} {step.groups.tolist()}\\n")
def build(settings, session):
    return Plugin(name=NAME, hooks=(Writer(settings.path),))
"""


def test_a_fork_whose_batches_carry_group_labels_gives_them_to_the_plugins(record, tmp_path):
    home = miniature(tmp_path / "fork")
    for file, before, after in (
        ("train_v2.py", "(img, local_labels)", "(img, local_labels, kind)"),
        ("dataset.py", "            yield batch", "            yield [*batch, batch[1] % 3]"),
    ):
        text = (home / file).read_text()
        assert before in text
        (home / file).write_text(text.replace(before, after))
    (home / "group_writer.py").write_text(GROUP_WRITER)
    install(home, without=NOT_IN_MINIATURE)
    seen = tmp_path / "groups.txt"
    settings = config(record, tmp_path / "run", num_epoch=1, plugins=["group_writer"])
    done = run(home, {**settings, "group_writer": {"path": str(seen)}})
    assert done.returncode == 0, done.stdout[-2000:]
    lines = [line.split("] [") for line in seen.read_text().splitlines()]
    assert len(lines) == 6
    for labels, groups in lines:
        expected = [int(label) % 3 for label in labels.strip("[]").split(", ")]
        assert [int(group) for group in groups.strip("[]").split(", ")] == expected


def test_undo_restores_the_miniature_byte_for_byte(tmp_path):
    home = install(miniature(tmp_path / "mini"), without=NOT_IN_MINIATURE)
    assert (home / "train_v2.py").read_bytes() != (MINIATURE / "train_v2.py").read_bytes()
    assert (home / "configs" / "orl_invreg.py").is_file()
    assert installer().undo(home) == []
    for path in [p for p in MINIATURE.rglob("*") if p.is_file() and "__pycache__" not in p.parts]:
        assert (home / path.relative_to(MINIATURE)).read_bytes() == path.read_bytes()
    assert files_of(home) == files_of(MINIATURE)


def files_of(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
