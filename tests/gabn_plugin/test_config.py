# SPDX-License-Identifier: MIT
import pytest

from arcface_fair.errors import UserError
from arcface_fair.plugin.settings import parse_block
from gabn_plugin import Settings


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"objective": "sum"}, "gabn.objective is 'sum', expected one of term, shift, literal"),
        ({"erasing": True}, "gabn.erasing is True, expected str"),
        (
            {"erasing": "all"},
            "gabn.erasing is 'all', expected one of attention, random, rolled, off",
        ),
        ({"threshold": 1.5}, "gabn.threshold is 1.5, expected at least 0 and at most 1"),
        ({"threshold": -0.1}, "gabn.threshold is -0.1"),
        ({"start": 2}, "gabn.start is 2"),
        ({"rectangles": 0}, "gabn.rectangles is 0, expected at least 1"),
        ({"height": 0}, "gabn.height is 0"),
        ({"width": 0}, "gabn.width is 0"),
        ({"fill": 2.0}, "gabn.fill is 2, expected at least -1 and at most 1"),
        ({"weight": -1}, "gabn.weight is -1"),
        ({"every": 0}, "gabn.every is 0"),
        ({"share": 0.0}, "gabn.share is 0, expected above 0 and at most 1"),
        ({"shift": 3.0}, "gabn.shift is 3, expected at least 0 and at most 1.5"),
        ({"shift_gradient": "true"}, "gabn.shift_gradient is 'true'"),
        ({"second_order": "forward"}, "gabn.second_order is 'forward'"),
        ({"num_groups": 1}, "gabn.num_groups is 1, expected at least 2"),
        ({"map_side": 113}, "gabn.map_side is 113, expected at least 14 and at most 112"),
        ({"classifier_width": 1}, "gabn.classifier_width is 1"),
        ({"classifier_every": 0}, "gabn.classifier_every is 0"),
        ({"classifier_lr": 0}, "gabn.classifier_lr is 0, expected above 0"),
        ({"classifier_momentum": 2}, "gabn.classifier_momentum is 2"),
        ({"classifier_weight_decay": -1}, "gabn.classifier_weight_decay is -1"),
        ({"eraser": "off"}, "config.gabn has no setting 'eraser'"),
        (
            {"erasing": "off", "confidence": False, "adversarial": False},
            "gabn switches off erasing, confidence and adversarial",
        ),
    ],
)
def test_a_wrong_setting_ends_in_one_sentence(block, message):
    with pytest.raises(UserError, match=message):
        parse_block(Settings, block, "gabn")


def test_the_defaults_are_those_of_the_paper_where_it_gives_one():
    settings = Settings()
    assert (settings.threshold, settings.classifier_lr, settings.classifier_width) == (0.7, 0.1, 64)
    assert (settings.classifier_momentum, settings.classifier_weight_decay) == (0.9, 5e-4)
    assert (settings.objective, settings.differentiable) == ("term", True)


def test_the_classifiers_rate_falls_tenfold_at_its_epochs():
    rates = [Settings().classifier_rate_at(epoch) for epoch in (0, 8, 9, 14, 15, 19, 20, 29)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4])
