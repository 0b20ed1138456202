# SPDX-License-Identifier: MIT
"""Every setting of partition learning is checked by name."""

import pytest

from arcface_fair.errors import UserError
from invreg_plugin.partition_settings import PartitionSettings


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("subsets", 1, r"subsets is 1, expected 2\.\.254"),
        ("subsets", 2.0, "subsets is 2.0, expected a whole number"),
        ("subsets", 300, r"subsets is 300, expected 2\.\.254"),
        ("objective", "var", "objective is 'var', expected one of paper, rex, irmv1"),
        ("seed", -1, "seed is -1, expected a whole number from 0"),
        ("visits", 0, "visits is 0, expected a whole number from 1"),
        ("min_steps", 0, "min_steps is 0, expected a whole number from 1"),
        ("identities_per_batch", 1, "identities_per_batch is 1, expected a whole number from 2"),
        ("images_per_identity", 1, "images_per_identity is 1, expected a whole number from 2"),
        ("patience", True, "patience is True, expected a whole number from 0"),
        ("learning_rate", 0.0, "learning_rate is 0.0, expected a number in"),
        ("balance", -1.0, "balance is -1.0, expected a number in"),
        ("temperature", 0.001, "temperature is 0.001, expected a number in 0.02"),
        ("tolerance", "x", "tolerance is 'x', expected a number in"),
        ("projection", 1, "projection is 1, expected True or False"),
    ],
)
def test_a_wrong_setting_is_named(field, value, message):
    with pytest.raises(UserError, match=message):
        PartitionSettings(**{field: value})


def test_the_lowest_temperature_does_not_overflow():
    import math

    import torch

    # 2**14 rows of e^(1 / temperature), in float32
    assert math.exp(1 / 0.02) * 2**14 < torch.finfo(torch.float32).max
