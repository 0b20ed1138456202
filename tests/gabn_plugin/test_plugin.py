# SPDX-License-Identifier: MIT
"""GABN in whole runs: every variant, one and two processes, resumed, with bad groups."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from arcface_fair import dist
from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.hosts import build
from arcface_fair.hosts.embedded import loop, train
from arcface_fair.hosts.embedded.loop import Trainer
from arcface_fair.hosts.ranks import choose_device
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.loading import load_plugin_modules
from tests.recorder import read_losses
from tests.small_data import small_run, write_small_record

SMALL = {"classifier_width": 4, "map_side": 28, "classifier_lr": 0.01, "start": 0.0}
ALONE = {"erasing": "off", "confidence": False, "adversarial": False}
VARIANTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "difference": {"second_order": "difference"},
    "shift": {"objective": "shift"},
    "literal": {"objective": "literal"},
    "confidence alone": {**ALONE, "confidence": True},
    "adversarial alone": {**ALONE, "adversarial": True},
    "erasing alone": {**ALONE, "erasing": "attention"},
    "random erasing": {**ALONE, "erasing": "random"},
    "every second step on half the batch": {"every": 2, "share": 0.5, "classifier_every": 2},
    "maps with the margin, exact shift": {"gam_margin": True, "shift_gradient": "exact"},
}
FAST = ("whole",)


def variants(fast: tuple[str, ...] = FAST) -> list[Any]:
    return [
        pytest.param(changes, id=name, marks=() if name in fast else pytest.mark.slow)
        for name, changes in VARIANTS.items()
    ]


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Path:
    folder = write_small_record(tmp_path_factory.mktemp("record"))
    words = ["b", "a", "b", "", "a", "c", "b", "a"]
    GroupTable.of_words({"race": words, "all": ["x"] * 8}).write(folder / "groups.tsv")
    return folder


def run_config(record: Path, output: Path, gabn: dict[str, Any], **changes: Any) -> dict[str, Any]:
    plugins = [*changes.pop("plugins", []), "gabn_plugin"]
    return small_run(record, output, plugins=plugins, gabn={**SMALL, **gabn}, **changes)


def losses_of(record: str, output: str, gabn: dict[str, Any], changes: dict[str, Any]) -> list:
    path = Path(output).with_suffix(".losses")
    if dist.rank() == 0:
        path.unlink(missing_ok=True)
    changes = {"plugins": ["tests.recorder"], "recorder": {"path": str(path)}, **changes}
    train(run_config(Path(record), Path(output), gabn, **changes))
    dist.barrier()
    return [loss for _, loss in read_losses(path)]


def trainer_of(config: dict[str, Any]) -> Trainer:
    modules = load_plugin_modules(config["plugins"])
    run, _ = parse_run(config, {module.NAME for module in modules})
    return Trainer(run, config, modules, choose_device("cpu"))


def replicas(record: str, output: str, gabn: dict[str, Any], changes: dict[str, Any]) -> tuple:
    trainer = trainer_of(run_config(Path(record), Path(output), gabn, **changes))
    trainer.fit()
    state = trainer.session.state_dict()["gabn"]
    return (
        [p.detach() for p in trainer.backbone.parameters()],
        state.get("classifier", {}).get("network", {}),
        trainer.session.global_step,
    )


@pytest.mark.parametrize("gabn", variants())
def test_ranks_hold_the_same_weights_after_twenty_steps(run_ranks, record, tmp_path, gabn):
    settings = {"num_epoch": 4, "batch_size": 4, "sample_rate": 0.7}
    (one, judge, steps), (two, other, _) = run_ranks(
        2, replicas, str(record), str(tmp_path / "run"), gabn, settings
    )
    assert steps == 24
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert bool(judge) == gabn.get("adversarial", True)
    for name, value in judge.items():
        assert torch.equal(value, other[name]), name
        assert value.isfinite().all()


def losses_in_float64(*arguments: Any) -> list[float]:
    """As ``losses_of``. In float32 the gradient of L_adv carries 3e-4 of rounding (docs/gabn.md),
    which would hide a wrong factor; in float64 nothing is hidden."""
    real = loop.to_input
    torch.set_default_dtype(torch.float64)
    loop.to_input = lambda images: real(images).double()  # type: ignore[attr-defined]
    try:
        return losses_of(*arguments)
    finally:
        loop.to_input = real  # type: ignore[attr-defined]
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("gabn", variants())
def test_two_processes_give_the_losses_of_one(run_ranks, record, tmp_path, gabn):
    if "share" in gabn:
        pytest.skip("a share of each rank's rows is another share of the batch on two ranks")
    settings = {"norm": "none", "lr": 0.01, "num_epoch": 1}
    arguments = [(str(record), str(tmp_path / name), gabn) for name in ("one", "two")]
    one = losses_in_float64(*arguments[0], {**settings, "batch_size": 8})
    two = run_ranks(2, losses_in_float64, *arguments[1], {**settings, "batch_size": 4})[0]
    assert len(one) == 6
    np.testing.assert_allclose(two, one, rtol=1e-5)


def losses_with_a_static_graph(*arguments: Any) -> list[float]:
    """As ``losses_in_float64``, with DDP as arcface_torch's trainer sets it up."""
    real = build.wrap_backbone

    def wrap(*parts: Any) -> nn.Module:
        wrapped = real(*parts)
        wrapped._set_static_graph()  # type: ignore[operator]
        return wrapped

    build.wrap_backbone = wrap  # type: ignore[assignment]
    try:
        return losses_in_float64(*arguments)
    finally:
        build.wrap_backbone = real


def test_ddp_with_a_static_graph_averages_ladv_too(run_ranks, record, tmp_path):
    arguments = [(str(record), str(tmp_path / name), {"start": 0.5}) for name in ("one", "two")]
    settings = {"lr": 0.01, "num_epoch": 1, "batch_size": 4}
    plain = run_ranks(2, losses_in_float64, *arguments[0], settings)[0]
    static = run_ranks(2, losses_with_a_static_graph, *arguments[1], settings)[0]
    np.testing.assert_allclose(static, plain, rtol=1e-9)


class Halves(nn.Module):
    """A backbone that sees the two halves of its batch one after the other."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.backbone(half) for half in images.chunk(2)])


@pytest.mark.parametrize("gabn", variants(("shift",)))
def test_two_processes_with_batchnorm_give_the_losses_of_two_half_batches(
    run_ranks, record, tmp_path, monkeypatch, gabn
):
    if "share" in gabn:
        pytest.skip("a share of each rank's rows is another share of the batch on two ranks")
    arguments = [(str(record), str(tmp_path / name), gabn) for name in ("one", "two")]
    settings = {"lr": 0.01, "num_epoch": 1}
    two = run_ranks(2, losses_in_float64, *arguments[1], {**settings, "batch_size": 4})[0]
    real = build.build_backbone
    monkeypatch.setattr(build, "build_backbone", lambda *parts: Halves(real(*parts)))
    one = losses_in_float64(*arguments[0], {**settings, "batch_size": 8})
    np.testing.assert_allclose(two, one, rtol=1e-5)


@pytest.mark.parametrize("gabn", variants())
def test_a_run_resumed_in_the_middle_of_an_epoch_goes_on_exactly(record, tmp_path, gabn):
    changes: dict[str, Any] = {"checkpoint_steps": 4, "dropout": 0.3}
    whole = losses_of(str(record), str(tmp_path / "whole"), gabn, changes)
    trainer = trainer_of(run_config(record, tmp_path / "parts", gabn, **changes))
    real, stopped = trainer.session.after_step, RuntimeError("stop")

    def stop() -> None:
        real()
        if trainer.session.global_step == 9:
            raise stopped

    trainer.session.after_step = stop  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="stop"):
        trainer.fit()
    changes["resume"] = True
    assert losses_of(str(record), str(tmp_path / "parts"), gabn, changes) == whole[8:]


def test_with_invreg_both_penalties_count(record, tmp_path):
    config = run_config(record, tmp_path / "run", {}, plugins=["invreg_plugin"])
    config["invreg"] = {"stages": (0,)}
    trainer = trainer_of(config)
    trainer.fit()
    assert {"invreg", "gabn_confusion"} <= set(trainer.session.penalties)
    assert trainer.session.penalties["gabn_confusion"].weight == 0.1


def test_curves_maps_and_images_are_written(record, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = train(run_config(record, tmp_path / "run", {}))
    curves = EventAccumulator(str(output / "tensorboard"))
    curves.Reload()
    wanted = {"gabn/classifier_accuracy", "gabn/classifier_loss", "gabn/confusion",
              "gabn/confident_share", "gabn/shift_rad", "penalty/gabn_confusion",
              *(f"gabn/confidence/{group}" for group in "abc")}  # fmt: skip
    assert wanted <= set(curves.Tags()["scalars"])
    assert set(curves.Tags()["images"]) == {f"gabn/attention/{group}" for group in "abc"}
    areas = curves.Scalars("gabn/attention_area/a")
    assert [point.step for point in areas] == [6, 12]
    assert all(0 < point.value < 1 for point in areas)
    arrays = np.load(output / "gabn" / "maps_epoch_2.npz")
    assert arrays["names"].tolist() == ["a", "b", "c"]
    assert arrays["maps"].shape == (3, 112, 112)
    assert arrays["images"].sum() == 42  # one identity of eight is in no group
    np.testing.assert_allclose(arrays["maps"].mean((1, 2)), 1, rtol=1e-4)


def test_ladv_counts_from_its_start_on_every_nth_step(record, tmp_path):
    config = run_config(record, tmp_path / "run", {"start": 0.25, "every": 3})
    trainer = trainer_of(config)
    weights = []
    real = trainer.session.after_loss

    def note(loss: torch.Tensor) -> None:
        weights.append(trainer.session.penalties["gabn_confusion"].weight)
        real(loss)

    trainer.session.after_loss = note  # type: ignore[method-assign]
    trainer.fit()
    assert [step for step, weight in enumerate(weights, 1) if weight] == [4, 7, 10]
    assert {weight for weight in weights if weight} == {0.1}


def test_batchnorm_statistics_are_updated_once_a_step(record, tmp_path):
    trainer = trainer_of(run_config(record, tmp_path / "run", {}))
    trainer.fit()
    assert trainer.backbone.features.num_batches_tracked == trainer.session.global_step == 12


def test_groups_may_come_with_the_batch(record, tmp_path):
    config = run_config(record, tmp_path / "run", {"num_groups": 4, "erasing": "off"})
    trainer = trainer_of(config)
    images, labels = torch.rand(8, 3, 112, 112) * 2 - 1, torch.arange(8)
    session = trainer.session
    session.before_epoch(0)
    seen = []
    trainer.session._log = lambda tag, value, step: seen.append(tag)
    assert session.before_forward(images, labels, torch.tensor([3] * 8)) is images
    assert "gabn/classifier_loss" in seen
    session.head(trainer.backbone(images), labels)
    session.after_step()
    seen.clear()
    session.before_forward(images, labels, torch.full((8,), -1))  # nobody's group is known
    assert "gabn/classifier_loss" not in seen
    assert session.head(trainer.backbone(images), labels).isfinite()
    trainer.log.close()


@pytest.mark.parametrize("objective", ["term", "shift", "literal"])
def test_k_is_what_the_objective_says(record, tmp_path, objective):
    gabn = {"objective": objective, "erasing": "off", "threshold": 0.0, "weight": 0.0}
    trainer = trainer_of(run_config(record, tmp_path / "run", gabn))
    session, curves = trainer.session, {}
    session._log = lambda tag, value, step: curves.update({tag: float(value)})
    session.before_epoch(0)
    session.before_forward(torch.rand(8, 3, 112, 112) * 2 - 1, torch.arange(8))
    half = 0.15  # of the margin, 0.3 rad; every row is confident at a threshold of 0
    expected = {
        "term": half,
        "shift": half * (1 + curves.get("gabn/confusion", 0) - math.log(3)),
        "literal": 1 + curves.get("gabn/confusion", 0),
    }
    assert curves["gabn/shift_rad"] == pytest.approx(expected[objective], rel=1e-5)
    assert float(trainer.head.margin_softmax.angle) == curves["gabn/shift_rad"]
    trainer.log.close()


def test_the_literal_objective_warns(record, tmp_path, caplog):
    trainer_of(run_config(record, tmp_path / "run", {"objective": "literal"})).log.close()
    assert "K = L_conf + L_adv is at least log(groups)" in caplog.text


@pytest.mark.parametrize(
    ("gabn", "changes", "message"),
    [
        ({}, {"group_attribute": "all"}, "needs at least two groups, but the group table knows "
                                         "only 'x'"),
        ({"num_groups": 2}, {}, "gabn.num_groups is 2 but the group table names 3 groups"),
        ({}, {"margin_list": (1.0, 0.0, 0.4)}, "gabn.shift is not set and the margin "
                                               "CombinedMargin is no angle"),
        ({"height": 113}, {}, "gabn.height is 113 pixels but the images have 112"),
    ],
)  # fmt: skip
def test_bad_groups_and_margins_end_in_one_sentence(record, tmp_path, gabn, changes, message):
    with pytest.raises(UserError, match=message):
        train(run_config(record, tmp_path / "run", gabn, **changes))


def test_no_group_table_is_refused_unless_nothing_needs_groups(record, tmp_path):
    bare = write_small_record(tmp_path)
    with pytest.raises(UserError, match=r"gabn.adversarial needs to know groups, but the run"):
        train(run_config(bare, tmp_path / "run", {}))
    train(run_config(bare, tmp_path / "run", {"adversarial": False}, num_epoch=1))
    assert not (tmp_path / "run" / "gabn").exists()
