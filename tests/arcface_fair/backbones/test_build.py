# SPDX-License-Identifier: MIT
"""A name becomes a network, or a sentence says why not."""

import pytest
import torch
from torch import nn

from arcface_fair.backbones import BACKBONES, get_model
from arcface_fair.errors import UserError


def test_unknown_network_lists_the_known_ones():
    with pytest.raises(UserError, match=r"no network is named 'r51'; known: mbf, .*small_aa"):
        get_model("r51")


def test_unknown_option_lists_the_options_of_that_network():
    with pytest.raises(UserError, match=r"'r18' has no option 'norm'.*gradient_checkpointing"):
        get_model("r18", norm="none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_features": 0}, "embedding_size is 0; it must be at least 1"),
        ({"dropout": 1.0}, r"dropout is 1\.0; it must be a rate from 0 to below 1"),
    ],
)
def test_values_out_of_range_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        get_model("small", **settings)


def test_a_plugin_can_bring_a_network(monkeypatch):
    monkeypatch.setattr(BACKBONES, "_builders", dict(BACKBONES._builders))

    @BACKBONES.register("mean_colour")
    def build(*, fp16, num_features, dropout, **anything):
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_features))

    assert get_model("mean_colour", num_features=5, extra=1)(torch.zeros(2, 3, 8, 8)).shape == (
        2,
        5,
    )
