# SPDX-License-Identifier: MIT
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from arcface_fair import bridge
from arcface_fair.errors import UserError


class Wrapped:
    """Stands in for DistributedDataParallel."""

    def __init__(self, module):
        self.module = module


class Writer:
    def __init__(self):
        self.points, self.images = [], []

    def add_scalar(self, tag, value, step):
        self.points.append((tag, value, step))

    def add_image(self, tag, value, step):
        self.images.append((tag, value, step))


def started(cfg, **changes):
    cfg.update(total_step=12, **changes)
    bridge.configure(cfg)
    Path(cfg.output).mkdir(exist_ok=True)
    backbone = nn.Sequential(nn.AvgPool2d(28), nn.Flatten(), nn.Linear(48, 16))
    margin = bridge.build_margin(lambda *a: lambda z, y: z, cfg, 64, 1.0, 0.5, 0.0, 0)
    head = bridge.head_class(lambda m, d, c, *a: nn.Linear(d, c), cfg)(margin, 16, 8, 1.0, False)
    groups = [{"params": backbone.parameters()}, {"params": head.parameters()}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    writer = Writer()
    run = bridge.start(cfg, Wrapped(backbone), head, optimizer, scheduler, writer)
    run.scaler(torch.amp.GradScaler("cpu", enabled=False))
    return run, backbone, head, optimizer, writer


def test_without_plugins_images_pass_untouched_and_moments_do_nothing(cfg):
    run, *_ = started(cfg)
    images = torch.randn(8, 3, 112, 112)
    run.before_epoch(0)
    assert run.before_forward(images, torch.zeros(8)) is images
    run.after_loss(torch.zeros(()))
    run.after_backward()
    run.after_step()
    run.after_epoch()
    run.after_train()
    assert run.checkpoint()["plugins"] == {}
    assert run.global_step == 1


def test_the_run_is_written_down_for_export_and_evaluation(cfg, tmp_path):
    started(cfg)
    known = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (known["network"], known["num_classes"], known["world_size"]) == ("tiny", 8, 1)


def test_a_third_batch_element_becomes_the_groups_and_labels_of_any_kind_are_taken(cfg):
    recorder = {"path": cfg.output + ".losses"}
    run, backbone, head, _, _ = started(cfg, plugins=["tests.recorder"], recorder=recorder)
    run.before_epoch(0)
    labels = torch.arange(8).float().reshape(8, 1)
    images = run.before_forward(torch.randn(8, 3, 112, 112), labels, torch.ones(8, 1))
    step = run.session.step
    assert step.labels.tolist() == list(range(8))
    assert step.groups.tolist() == [1] * 8
    loss = head(backbone(images), labels)
    run.after_loss(loss)
    run.before_forward(images, labels)
    assert run.session.step.groups.tolist() == [-1] * 8


def test_images_that_plugins_cannot_use_are_refused(cfg):
    run, *_ = started(cfg, plugins=["tests.recorder"])
    run.before_epoch(0)
    with pytest.raises(UserError, match=r"images of shape \[8, 112, 112, 3\] and type torch.uint8"):
        run.before_forward(torch.zeros(8, 112, 112, 3, dtype=torch.uint8), torch.zeros(8))


def test_curves_are_written_at_the_logs_steps_alone(cfg):
    run, _, _, _, writer = started(cfg, plugins=["tests.recorder"], frequent=2)
    for step in (1, 2, 3, 4):
        run.session.global_step, run.session.step = step, object()
        run.session.log("some/curve", torch.tensor(0.5))
    assert writer.points == [("some/curve", 0.5, 2), ("some/curve", 0.5, 4)]


def test_the_end_is_told_whatever_ends_the_script(cfg, monkeypatch):
    registered = []
    monkeypatch.setattr("atexit.register", registered.append)
    run, *_ = started(cfg, plugins=["tests.recorder"])
    assert registered == [run.after_train]


def test_the_end_is_told_once(cfg, monkeypatch):
    run, *_ = started(cfg, plugins=["tests.recorder"])
    ends = []
    monkeypatch.setattr(run.session, "after_train", lambda: ends.append(1))
    run.after_train()
    run.after_train()
    assert ends == [1]


def test_what_waits_for_an_accumulation_survives_a_restart(cfg):
    run, backbone, *_ = started(cfg, gradient_acc=3)
    for parameter in backbone.parameters():
        parameter.grad = torch.ones_like(parameter)
    run.global_step = 4
    state = {"epoch": 0, "global_step": 4, **run.checkpoint(step=4)}
    again, other, _, _, _ = started(cfg, gradient_acc=3)
    again.resume(state)
    assert all(torch.equal(p.grad, torch.ones_like(p)) for p in other.parameters())
    assert again.global_step == 4


def test_a_margins_buffers_are_in_the_checkpoint_and_another_margin_is_refused(cfg, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[4] / "examples")
    changes = {"plugins": ["adaface_plugin"], "margin": {"name": "adaface", "s": 16.0}}
    run, backbone, head, _, _ = started(cfg, **changes)
    labels = torch.arange(8)
    run.before_epoch(0)
    head(backbone(run.before_forward(torch.randn(8, 3, 112, 112), labels)), labels)
    state = {"global_step": 1, **run.checkpoint(1)}
    assert state["margin"]["state"]["mean"] != 20.0
    assert list(head.state_dict()) == ["weight"]
    again, _, fresh, _, _ = started(cfg)
    again.resume(state)
    assert fresh.margin_softmax.mean == state["margin"]["state"]["mean"]
    other, *_ = started(cfg, plugins=[], margin={"name": "cosface"})
    with pytest.raises(UserError, match="with the margin 'adaface', this run has the margin 'cosf"):
        other.resume(state)


def test_images_and_points_between_steps_are_written_at_once(cfg):
    run, _, _, _, writer = started(cfg, plugins=["tests.recorder"], frequent=2)
    run.session.global_step = 1
    run.session.log("some/area", torch.tensor(0.5))
    assert writer.points == [("some/area", 0.5, 1)]
    run.session.log("some/image", torch.zeros(1, 4, 4))
    assert [(tag, value.shape, step) for tag, value, step in writer.images] == [
        ("some/image", (1, 4, 4), 1)
    ]


def test_a_resume_within_an_epoch_skips_its_batches_and_goes_on_with_its_random_numbers(cfg):
    run, *_ = started(cfg)
    run.before_epoch(0)
    seen, state = [], {}
    for number, batch in enumerate(run.batches(range(6))):
        run.before_forward(torch.zeros(1), torch.zeros(1))
        seen.append((batch, torch.rand(1).item()))
        if number == 3:
            state = {"epoch": 0, "global_step": 4, **run.checkpoint(run.step_of_epoch)}
    torch.manual_seed(99)
    again, *_ = started(cfg)
    again.resume(state)
    again.before_epoch(0)
    assert [(batch, torch.rand(1).item()) for batch in again.batches(range(6))] == seen[4:]


def test_plugin_runs_get_a_scaler_on_which_ranks_agree(cfg):
    from arcface_fair.hosts.scaler import AgreedGradScaler

    class Enabled:
        def is_enabled(self):
            return True

        def state_dict(self):
            return {}

    run, *_ = started(cfg)
    theirs = Enabled()
    assert run.scaler(theirs) is theirs
    run, *_ = started(cfg, plugins=["tests.recorder"])
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no GPU here
        assert isinstance(run.scaler(theirs), AgreedGradScaler)


def test_networks_of_some_epochs_are_kept(cfg, tmp_path):
    run, backbone, *_ = started(cfg, keep_epochs=2)
    for epoch in range(3):
        run.before_epoch(epoch)
        run.after_epoch()
    assert sorted(p.name for p in (tmp_path / "run").glob("*epoch*")) == [
        "centres_epoch_1_gpu_0.pt", "model_epoch_1.pt",
    ]  # fmt: skip
    kept = torch.load(tmp_path / "run" / "model_epoch_1.pt", weights_only=True)
    assert kept.keys() == backbone.state_dict().keys()


@pytest.mark.parametrize("shapes", [[], [(4, 3, 112, 112), (4,), (4, 1)]], ids=["at once", "later"])
def test_a_rank_without_images_brings_a_blank_batch_of_the_loaders_form_and_its_error(
    cfg, monkeypatch, shapes
):
    from arcface_fair import dist

    def loader():
        if shapes:
            yield [torch.ones(shape) for shape in shapes]
        raise UserError("record 3 cannot be read")

    recorder = {"path": cfg.output + ".losses"}
    run, _, head, *_ = started(cfg, plugins=["tests.recorder"], recorder=recorder)
    run.before_epoch(0)
    monkeypatch.setattr(dist, "world_size", lambda: 2)
    *_, blank = run.batches(loader())
    expected = shapes or [(cfg.batch_size, 3, 112, 112), (cfg.batch_size,)]
    assert [tuple(part.shape) for part in blank] == expected
    assert not any(part.any() for part in blank)
    assert str(head.pending_error) == "record 3 cannot be read"
