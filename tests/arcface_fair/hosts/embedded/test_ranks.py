# SPDX-License-Identifier: MIT
"""Two processes give what one gives, with the same global batch."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from arcface_fair.data.training.dataset import TrainingImages, open_dataset, to_input
from arcface_fair.data.training.loader import EpochBatches, make_loader
from arcface_fair.hosts import build
from arcface_fair.hosts.embedded import Trainer, train
from arcface_fair.hosts.settings import parse_run
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record

INVREG = {
    "plugins": ["tests.recorder", "invreg_plugin"],
    "invreg": {"stages": (0,), "weight": 0.5, "partition": "random"},
}


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"))


def train_and_read(record: str, output: str, changes: dict) -> list[tuple[int, float]]:
    """Runs on every rank; rank 0 returns the losses, the others an empty list."""
    torch.manual_seed(torch.distributed.get_rank() if torch.distributed.is_initialized() else 0)
    losses = Path(output).with_suffix(".losses")
    settings = {"plugins": ["tests.recorder"], **changes, "recorder": {"path": str(losses)}}
    train(small_run(Path(record), Path(output), **settings))
    first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
    return read_losses(losses) if first else []


@pytest.mark.parametrize(
    "changes",
    [{}, INVREG, {"gradient_acc": 2, "shift": 2}],
    ids=["plain", "invreg", "accumulation and shifts"],
)
def test_two_processes_give_the_losses_of_one(run_ranks, record, tmp_path, changes):
    settings = {"norm": "none", "lr": 0.01, "num_epoch": 1, **changes}
    one = train_and_read(str(record), str(tmp_path / "one"), {**settings, "batch_size": 8})
    two = run_ranks(
        2, train_and_read, str(record), str(tmp_path / "two"), {**settings, "batch_size": 4}
    )[0]
    assert len(one) == 6
    assert [step for step, _ in two] == [step for step, _ in one]
    np.testing.assert_allclose([loss for _, loss in two], [loss for _, loss in one], rtol=2e-5)
    assert one[-1][1] != pytest.approx(one[0][1], rel=0.05)


def two_halves_in_one_process(record: Path, output: Path, steps: int) -> list[float]:
    """One process: the backbone on the two half batches in turn, the head once on both."""
    config = small_run(record, output, batch_size=4)
    run, _ = parse_run(config, set())
    device = torch.device("cpu")
    dataset, num_classes = build.build_dataset(run)
    backbone = build.build_backbone(run, device).train()
    head = build.build_head(run, num_classes, device)
    optimizer = build.build_optimizer(run, backbone, head)
    images = TrainingImages(dataset, seed=run.seed)
    plans = [EpochBatches(dataset.num_images, 4, run.seed, rank, 2) for rank in range(2)]
    halves = [iter(make_loader(images, plan, 0, device)) for plan in plans]
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:  # the poly schedule over 6 steps x 2 epochs
            group["lr"] = run.lr * (1 - step / 12)
        batches = [next(half) for half in halves]
        embeddings = torch.cat([backbone(to_input(batch.images)) for batch in batches])
        loss = head(embeddings, torch.cat([batch.labels for batch in batches]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(backbone.parameters(), run.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_two_processes_with_batchnorm_give_the_losses_of_two_half_batches(
    run_ranks, record, tmp_path
):
    expected = two_halves_in_one_process(record, tmp_path / "one", steps=5)
    two = run_ranks(2, train_and_read, str(record), str(tmp_path / "two"), {"batch_size": 4})[0]
    np.testing.assert_allclose([loss for _, loss in two[:5]], expected, rtol=2e-5)


def test_the_two_loaders_batches_are_the_one_loaders_batch(record):
    dataset = open_dataset(record)

    def batches(rank, world_size, batch_size):
        plan = EpochBatches(dataset.num_images, batch_size, 3, rank, world_size)
        plan.set_epoch(1)
        return list(make_loader(TrainingImages(dataset, seed=3), plan, 0, "cpu"))

    threes = zip(batches(0, 1, 8), batches(0, 2, 4), batches(1, 2, 4), strict=True)
    for one, first, second in threes:
        assert torch.equal(one.images, torch.cat([first.images, second.images]))
        assert torch.equal(one.labels, torch.cat([first.labels, second.labels]))


def replicas_after_training(record: str, output: str, changes: dict) -> dict:
    config = small_run(Path(record), Path(output), batch_size=4, num_epoch=1, **changes)
    run, _ = parse_run(config, {"invreg"})
    from arcface_fair.plugin.loading import load_plugin_modules

    trainer = Trainer(run, config, load_plugin_modules(run.plugins), torch.device("cpu"))
    trainer.fit()
    state = trainer.session.state_dict().get("invreg", {})
    return {
        "parameters": [p.detach() for p in trainer.backbone.parameters()],
        "partitions": state.get("partitions"),
    }


def test_learned_partitions_and_backbones_are_the_same_on_both_ranks(run_ranks, record, tmp_path):
    changes = {"plugins": ["invreg_plugin"], "invreg": {"stages": (0,)}}
    one, two = run_ranks(2, replicas_after_training, str(record), str(tmp_path / "run"), changes)
    assert all(torch.equal(a, b) for a, b in zip(one["parameters"], two["parameters"], strict=True))
    assert torch.equal(one["partitions"], two["partitions"])
    assert set(one["partitions"].unique().tolist()) == {0, 1}


def parts_of(folder: Path, world_size: int) -> list[dict]:
    names = [folder / f"checkpoint_gpu_{rank}.pt" for rank in range(world_size)]
    return [torch.load(name, weights_only=True) for name in names]


def test_a_run_of_one_process_goes_on_in_three_then_two_then_one(run_ranks, record, tmp_path):
    """The global batch stays at 12, so every resume goes on in the middle of the same epoch."""
    run = tmp_path / "run"
    settings = {"norm": "none", "lr": 0.01, "lr_schedule": "step", "checkpoint_steps": 1}
    whole = train_and_read(str(record), str(tmp_path / "w"), {**settings, "batch_size": 12})
    assert len(whole) == 8
    seen = []
    for world_size, stop in ((1, 3), (3, 5), (2, 6), (1, 8)):
        changes = {**settings, "batch_size": 12 // world_size, "resume": bool(seen)}
        task = (train_until, str(record), str(run), changes, stop)
        seen += task[0](*task[1:]) if world_size == 1 else run_ranks(world_size, *task)[0]
        sizes = [len(s["state_dict_softmax_fc"]["weight"]) for s in parts_of(run, world_size)]
        assert sizes == {1: [8], 2: [4, 4], 3: [3, 3, 2]}[world_size]
    assert [step for step, _ in seen] == [step for step, _ in whole]
    np.testing.assert_allclose([loss for _, loss in seen], [loss for _, loss in whole], rtol=2e-5)
    log = (run / "training.log").read_text()
    for sentence in ("of 1 processes was resharded for 3", "3 processes was resharded for 2"):
        assert sentence in log


class Stop(Exception):
    pass


def train_until(record: str, output: str, changes: dict, stop: int) -> list[tuple[int, float]]:
    """Trains until the checkpoint after step ``stop``; the steps of this call, by rank 0."""
    seen: list[tuple[int, float]] = []
    config = small_run(Path(record), Path(output), **changes)
    run, _ = parse_run(config, set())
    trainer = Trainer(run, config, [], torch.device("cpu"))
    after = trainer.session.after_step

    def note() -> None:
        seen.append((trainer.session.global_step, trainer.session.loss.item()))
        after()

    save = trainer._save

    def save_and_stop(epoch: int, step: int) -> None:
        save(epoch, step)
        if trainer.session.global_step == stop:
            raise Stop

    trainer.session.after_step, trainer._save = note, save_and_stop
    with contextlib.suppress(Stop):
        trainer.fit()
    return seen


def test_another_global_batch_goes_on_behind_the_images_that_were_seen(run_ranks, record, tmp_path):
    """48 images; 4 steps of 8 were seen, which are 2 whole batches of 12 in two processes."""
    run = tmp_path / "run"
    settings = {"checkpoint_steps": 2, "batch_size": 8, "gradient_acc": 3, "num_epoch": 1}
    train_until(str(record), str(run), settings, 4)
    changes = {**settings, "batch_size": 6, "resume": True}
    seen = run_ranks(2, train_until, str(record), str(run), changes, 99)[0]
    assert [step for step, _ in seen] == [3, 4]
    log = (run / "training.log").read_text()
    assert "the checkpoint of 1 processes was resharded for 2" in log
    assert "the global batch was 8 images and is 12: going on in epoch 0 at step 2" in log
