# SPDX-License-Identifier: MIT
"""Two processes give what one gives, with the same global batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from arcface_fair.data.dataset import TrainingImages, open_dataset, to_input
from arcface_fair.data.loader import make_loader
from arcface_fair.data.sampler import EpochBatches
from arcface_fair.trainer import Trainer, build, train
from arcface_fair.trainer.settings import parse_run
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
    from arcface_fair.plugins import load_plugin_modules

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


def resume_in_two(record: str, output: str) -> str:
    from arcface_fair.errors import UserError

    try:
        train(small_run(Path(record), Path(output), batch_size=4, resume=True))
    except UserError as error:
        return str(error)
    return "resumed"


def test_resuming_with_another_number_of_processes_is_refused_on_every_rank(
    run_ranks, record, tmp_path
):
    train(small_run(record, tmp_path / "run", num_epoch=1, batch_size=4))
    messages = run_ranks(2, resume_in_two, str(record), str(tmp_path / "run"))
    assert len(set(messages)) == 1
    assert "was written with world_size 1, this run has 2; resume with the same" in messages[0]
