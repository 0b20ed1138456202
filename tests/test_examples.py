# SPDX-License-Identifier: MIT
"""The examples run as they are; AdaFace goes on bit for bit where a killed run stood."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import arcface_fair
from arcface_fair.cli.evaluate import figures_of_runs
from arcface_fair.errors import UserError
from arcface_fair.hosts.embedded import train
from arcface_fair.run.reshard import cut
from tests.ranks import RankError
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record

EXAMPLES = Path(__file__).parents[1] / "examples"
ADAFACE = {"plugins": ["tests.recorder", "adaface_plugin"], "margin": {"name": "adaface", "m": 0.3}}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_record(tmp_path_factory.mktemp("record"))


@pytest.fixture(autouse=True)
def examples_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)


def test_every_public_name_is_there_and_importing_them_all_is_not_needed():
    assert arcface_fair.CONTRACT == 2
    assert all(getattr(arcface_fair, name) is not None for name in arcface_fair.__all__)
    assert set(arcface_fair.__all__) <= set(dir(arcface_fair))
    with pytest.raises(AttributeError, match="has no attribute 'Step'"):
        _ = arcface_fair.Step
    light = "import sys, arcface_fair; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0


def test_the_noop_plugin_changes_no_loss_and_counts_over_a_resume(record, tmp_path):
    losses = []
    for name, plugins in (
        ("plain", ["tests.recorder"]),
        ("noop", ["tests.recorder", "noop_plugin"]),
    ):
        path = tmp_path / f"{name}.losses"
        train(small_run(record, tmp_path / name, plugins=plugins, recorder={"path": str(path)}))
        losses.append(read_losses(path))
    assert losses[0] == losses[1]
    assert kept(tmp_path / "noop")["plugins"]["noop"] == {"steps": 12}
    more = {"num_epoch": 3, "resume": True, "noop": {"start": 5}, "plugins": ["noop_plugin"]}
    train(small_run(record, tmp_path / "noop", **more))
    assert kept(tmp_path / "noop")["plugins"]["noop"] == {"steps": 18}


def test_the_plain_loop_trains_with_a_plugin(record, tmp_path):
    command = [sys.executable, str(EXAMPLES / "plain_loop.py"), str(record), str(tmp_path)]
    done = subprocess.run([*command, "noop_plugin"], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [f"step {n}" for n in range(1, 7)]
    first, last = (float(line.split()[-1]) for line in (lines[0], lines[-1]))
    assert last < first
    assert torch.load(tmp_path / "plugins.pt") == {"plugins": {"noop": {"steps": 6}}}


def kept(folder: Path, rank: int = 0) -> dict[str, Any]:
    return torch.load(folder / f"checkpoint_gpu_{rank}.pt", weights_only=True)


def losses_of(record: str, output: str, kill_at: int, changes: dict[str, Any]) -> list[Any]:
    """Trains, on every rank, until it is killed after step ``kill_at`` (0: to the end)."""
    if str(EXAMPLES) not in sys.path:
        sys.path.insert(0, str(EXAMPLES))
    path = Path(output).with_suffix(".losses")
    settings = {"checkpoint_steps": 2, "lr": 0.01, **ADAFACE, **changes}
    settings["recorder"] = {"path": str(path), "kill_at": kill_at}
    train(small_run(Path(record), Path(output), **settings))
    return read_losses(path) if os.environ["RANK"] == "0" else []


VARIANTS = [
    {"sample_rate": 1.0, "kernel": "dense"},
    {"sample_rate": 0.5, "kernel": "chunked", "head_memory_mib": 1},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=["dense", "sampled and chunked"])
@pytest.mark.parametrize("world_size", [1, 2])
def test_adaface_goes_on_bit_for_bit_with_its_running_averages(
    run_ranks, record, tmp_path, world_size, changes
):
    changes = {**changes, "batch_size": 8 // world_size}
    whole, broken = str(tmp_path / "whole"), str(tmp_path / "broken")
    expected = run_ranks(world_size, losses_of, str(record), whole, 0, changes)[0]
    assert len(expected) == 12
    with pytest.raises(RankError, match="the process ended without an answer"):
        run_ranks(world_size, losses_of, str(record), broken, 5, changes)
    middle = kept(Path(broken))["margin"]
    assert middle["name"] == "adaface"
    assert middle["state"]["mean"] != 20.0
    resumed = {**changes, "resume": True}
    found = run_ranks(world_size, losses_of, str(record), broken, 0, resumed)[0]
    assert found == [*expected[:5], *expected[4:]]  # step 5 is redone from the checkpoint of 4
    for rank in range(world_size):
        one, other = kept(tmp_path / "whole", rank), kept(tmp_path / "broken", rank)
        assert list(one["state_dict_softmax_fc"]) == ["weight"]
        for part in ("mean", "std"):
            assert torch.equal(one["margin"]["state"][part], other["margin"]["state"][part])
        weights = [state["state_dict_softmax_fc"]["weight"] for state in (one, other)]
        assert torch.equal(*weights)
    parts = [kept(tmp_path / "broken", rank) for rank in range(world_size)]
    assert cut(parts, 0, 3)["margin"] == parts[0]["margin"]  # another number of processes goes on


def test_adaface_has_the_losses_of_its_formula(record, tmp_path):
    from adaface_plugin import AdaFace

    from arcface_fair import MarginContext

    margin = AdaFace(s=8.0, m=0.4)
    norms = torch.tensor([10.0, 30.0])
    cosines = torch.tensor([[0.5, 0.1], [0.2, 0.7]])
    context = margin.prepare(MarginContext(cosines.diagonal(), norms))
    assert margin.mean == 20.0
    assert float(margin.std) == pytest.approx(100 + 0.01 * (norms.std() - 100))
    logits = margin(cosines, torch.tensor([[0], [1]]), context)
    g = 0.333 * (norms.numpy() - 20) / (float(margin.std) + 1e-3)
    wanted = np.cos(np.arccos([0.5, 0.7]) - 0.4 * g) - (0.4 + 0.4 * g)
    np.testing.assert_allclose(logits.diagonal().numpy(), 8 * wanted, rtol=1e-5)
    assert logits[0, 1] == pytest.approx(0.8)


def test_a_run_of_another_margin_does_not_go_on(record, tmp_path):
    train(small_run(record, tmp_path / "run", num_epoch=1, plugins=["adaface_plugin"],
                    margin={"name": "adaface"}))  # fmt: skip
    with pytest.raises(UserError, match="with the margin 'adaface', this run has the margin 'cosf"):
        train(small_run(record, tmp_path / "run", resume=True, margin={"name": "cosface"}))


THIRD_PARTY = """
from dataclasses import dataclass
import cv2
import torch
from arcface_fair import Figure, Hook, Margin, Penalty, Plugin

NAME = "even"


class Softer(torch.nn.Module):
    needs_context = True  # CosFace whose margin shrinks as the targets come near
    def __init__(self, s: float = 64.0, m: float = 0.35) -> None:
        super().__init__()
        self.s, self.m = s, m
        self.register_buffer("seen", torch.zeros(()))

    def prepare(self, context):
        self.seen += 0.1 * (context.target_cosine.detach().mean() - self.seen)
        return context

    def forward(self, cosines, labels, context):
        own = labels == torch.arange(cosines.shape[1])
        return self.s * (cosines - self.m * (1 - self.seen) * own)


MARGINS = (Margin("softer", Softer),)


@dataclass(frozen=True)
class Settings:
    weight: float = 1.0


class Gap(Hook):
    gap = torch.zeros(())  # running difference of the two groups' target cosines

    def penalty(self, step):
        sides = [step.target_cosine[step.batch_groups == group] for group in (0, 1)]
        means = [side.sum() / max(len(side), 1) for side in sides]
        gap = means[0] - means[1]
        self.gap = 0.9 * self.gap + 0.1 * gap.detach()
        return gap.square()

    def after_epoch(self, session):
        picture = torch.full((1, 8, 8), float(self.gap.abs().clamp(0, 1)))
        session.log("even/image", picture)
        session.log("even/gap", self.gap)
        cv2.imwrite(str(session.run.work_dir / "even.png"), (picture[0] * 255).byte().numpy())

    def state_dict(self):
        return {"gap": self.gap}

    def load_state_dict(self, state):
        self.gap = state["gap"]


def build(settings, session):
    gap = Gap()
    penalty = Penalty("even", gap.penalty, settings.weight)
    figure = Figure("even.png", "How far the groups are apart.")
    return Plugin(NAME, (gap,), (penalty,), figures=(figure,), state=gap)
"""


def test_a_third_partys_method_has_state_margin_and_figure(record, tmp_path, monkeypatch):
    site = tmp_path / "site"
    (site / "even-1.0.dist-info").mkdir(parents=True)
    (site / "even_method.py").write_text(THIRD_PARTY)
    (site / "even-1.0.dist-info" / "METADATA").write_text("Name: even\nVersion: 1.0\n")
    points = "[arcface_fair.plugins]\neven = even_method\n"
    (site / "even-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(site)
    assert importlib.metadata.version("even") == "1.0"
    assert len(THIRD_PARTY.strip().splitlines()) <= 60
    table = record.with_name("groups.tsv")
    rows = [f"{identity}\t{'ab'[identity % 2]}" for identity in range(8)]
    table.write_text("\n".join(["identity\tgroup", *rows]) + "\n")
    output = tmp_path / "run"
    train(small_run(record, output, plugins=["even"], margin={"name": "softer", "m": 0.2},
                    groups=str(table), frequent=5))  # fmt: skip
    state = kept(output)
    assert state["plugins"]["even"]["gap"] != 0
    assert 0 < state["margin"]["state"]["seen"] < 1
    assert figures_of_runs([str(output)]) == (
        ("run, How far the groups are apart.", (output / "even.png").read_bytes()),
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(output / "tensorboard")).Reload()
    assert [event.step for event in events.Images("even/image")] == [6, 12]
    assert [event.step for event in events.Scalars("even/gap")] == [6, 12]
