# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from arcface_fair.config import load_config
from arcface_fair.errors import UserError
from arcface_fair.plugin.loading import load_plugin_modules, parse_plugin_settings
from arcface_fair.plugin.settings import parse_block
from contrast_plugin import Settings


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"start": 1.5}, "contrast.start is 1.5, expected at least 0 and at most 1"),
        ({"gate": -1}, "contrast.gate is -1, expected at least 0 and at most 2"),
        ({"maps": 0}, "contrast.maps is 0, expected at least 1"),
        ({"smooth": 20}, "contrast.smooth is 20, expected an odd number of pixels .* use 21"),
        ({"smooth": 113}, "contrast.smooth is 113, expected at least 1 and at most 111"),
        ({"fill": "noise"}, "contrast.fill is 'noise', expected one of batch, reference,"),
        ({"measure": "x"}, "contrast.measure is 'x', expected one of effect, sensitivity"),
        ({"control": "on"}, "contrast.control is 'on', expected one of off, rolled"),
        ({"grey": 2.0}, "contrast.grey is 2, expected at least -1 and at most 1"),
        ({"gap_identities": 2}, "contrast.gap_identities is 2, expected at least 4"),
        ({"attribute": "race"}, "'session', which has no columns; set contrast.partition"),
        ({"gates": 0.1}, "config.contrast has no setting 'gates'.* did you mean 'gate'"),
        ({"maps": "many"}, "contrast.maps is 'many', expected int"),
    ],
)
def test_a_wrong_setting_ends_in_one_sentence(block, message):
    with pytest.raises(UserError, match=message):
        parse_block(Settings, block, "contrast")


@pytest.mark.parametrize(
    ("start", "epochs", "first"),
    [(0.375, 8, 3), (0.1, 30, 3), (0.4, 8, 4), (0, 5, 0), (0.375, 21, 8)],
)
def test_the_map_is_drawn_before_the_first_epoch_that_begins_at_or_after_the_start(
    start, epochs, first
):
    assert Settings(start=start).first_epoch(epochs) == first


@pytest.mark.parametrize(
    "name", ["demo_contrast", "ms1mv3_r100_contrast", "bupt_balanced_r34_contrast"]
)
def test_shipped_configs_make_their_partition_when_the_map_is_drawn(name):
    config = load_config(name)
    invreg, contrast = parse_plugin_settings(load_plugin_modules(config.plugins), config)
    assert invreg.stages == (contrast.first_epoch(config.num_epoch),)
    assert (invreg.weight, invreg.objective) == (0, "rex")
    assert contrast.gate == 0.10  # on by default
