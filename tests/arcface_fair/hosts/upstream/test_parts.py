# SPDX-License-Identifier: MIT
import pytest
import torch
from torch import nn

from arcface_fair import bridge
from arcface_fair.errors import UserError
from arcface_fair.head import CIFP, CombinedMargin, CosFace, PartialFC


def upstreams_model(name, dropout=0.0, num_features=16):
    if name != "theirs":
        raise ValueError()
    return nn.Dropout(dropout)


class UpstreamsMargin:
    def __init__(self, *arguments):
        self.arguments = arguments


def test_upstreams_network_is_taken_first_with_the_configs_dropout(cfg):
    assert bridge.build_backbone(upstreams_model, cfg, "theirs", dropout=0.0).p == 0.0
    cfg.dropout = 0.4
    assert bridge.build_backbone(upstreams_model, cfg, "theirs", dropout=0.0).p == 0.4


def test_ours_is_taken_where_upstream_has_none_and_unknown_names_stay_upstreams_error(cfg):
    ours = bridge.build_backbone(upstreams_model, cfg, "small", dropout=0.0, num_features=16)
    assert ours(torch.zeros(2, 3, 112, 112)).shape == (2, 16)
    with pytest.raises(ValueError):  # noqa: PT011 - upstream's says nothing
        bridge.build_backbone(upstreams_model, cfg, "r9", dropout=0.0)


def test_without_plugins_head_and_margin_are_upstreams(cfg):
    bridge.configure(cfg)
    margin = bridge.build_margin(UpstreamsMargin, cfg, 64, 1.0, 0.5, 0.0, 0)
    assert margin.arguments == (64, 1.0, 0.5, 0.0, 0)
    cfg.margin_scale = 32.0
    assert bridge.build_margin(UpstreamsMargin, cfg, 64, 1.0).arguments == (32.0, 1.0)
    assert bridge.head_class(nn.Linear, cfg) is nn.Linear


def test_with_plugins_head_and_margin_are_ours(cfg):
    cfg.update(plugins=["tests.recorder"], margin_scale=32.0, kernel="dense")
    bridge.configure(cfg)
    margin = bridge.build_margin(UpstreamsMargin, cfg, 64, 1.0, 0.5, 0.0, 0)
    assert isinstance(margin, CombinedMargin)
    assert (margin.s, margin.m2) == (32.0, 0.5)
    head = bridge.head_class(nn.Linear, cfg)(margin, 16, 8, 1.0, False)
    assert isinstance(head, PartialFC)
    assert head.kernel == "dense"


def test_cifp_by_config_needs_no_plugin(cfg):
    cfg.cifp = True
    bridge.configure(cfg)
    assert isinstance(bridge.build_margin(UpstreamsMargin, cfg, 64, 1.0), CIFP)


def test_a_margin_by_name_is_ours_and_an_unknown_one_is_refused_when_configured(cfg):
    cfg.margin = {"name": "cosface", "m": 0.2}
    bridge.configure(cfg)
    margin = bridge.build_margin(UpstreamsMargin, cfg, 64, 1.0)
    assert isinstance(margin, CosFace)
    assert (margin.s, margin.m) == (64.0, 0.2)
    cfg.margin = {"name": "adaface"}
    with pytest.raises(UserError, match=r"config.margin names .adaface., known: arcface"):
        bridge.configure(cfg)


def schedule_of(cfg, optimizer):
    from torch.optim.lr_scheduler import LambdaLR

    return LambdaLR(optimizer, lambda step: 0.001)  # has changed the rate already, as 2022's did


def test_the_schedule_is_upstreams_unless_the_config_says_step(cfg):
    cfg.update(total_step=20, num_epoch=2, warmup_epoch=0, lr_steps=(1,))
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    theirs = schedule_of(cfg, optimizer)
    assert bridge.choose_schedule(theirs, cfg, optimizer) is theirs
    cfg.lr_schedule = "step"
    ours = bridge.choose_schedule(theirs, cfg, optimizer)
    rates = []
    for _ in range(12):
        rates.append(ours.get_last_lr()[0])
        ours.step()
    assert rates == pytest.approx([0.5] * 10 + [0.05] * 2)


def test_gradients_are_rounded_unless_the_config_says_none(cfg):
    registered = []

    class Ddp:
        def register_comm_hook(self, state, hook):
            registered.append(hook)

    bridge.register_comm_hook(Ddp(), cfg, "rounding")
    cfg.gradient_compression = "none"
    bridge.register_comm_hook(Ddp(), cfg, "rounding")
    assert registered == ["rounding"]


def test_a_backbone_starts_from_released_weights_but_not_on_resume(cfg, tmp_path, caplog):
    caplog.set_level("INFO", "arcface_fair")
    released = bridge.build_backbone(upstreams_model, cfg, "small", num_features=16)
    torch.save(released.state_dict(), tmp_path / "model.pt")
    cfg.init_backbone = str(tmp_path / "model.pt")
    first = bridge.build_backbone(upstreams_model, cfg, "small", num_features=16)
    assert all(
        torch.equal(p, q) for p, q in zip(first.parameters(), released.parameters(), strict=True)
    )
    assert "model.pt" in caplog.text
    cfg.resume = True
    fresh = bridge.build_backbone(upstreams_model, cfg, "small", num_features=16)
    assert not all(
        torch.equal(p, q) for p, q in zip(fresh.parameters(), released.parameters(), strict=True)
    )
