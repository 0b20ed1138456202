# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from arcface_fair.errors import UserError
from invreg_plugin.config import InvRegSettings


def test_the_defaults_are_the_papers():
    settings = InvRegSettings()
    assert settings.stages == (1, 11, 17)
    assert [settings.subsets_at(stage) for stage in range(3)] == [2, 2, 2]
    assert {settings.weight_at(epoch) for epoch in range(21)} == {0.05}


def test_the_released_weight_grows_by_nine_percent_an_epoch():
    settings = InvRegSettings(weight_schedule="released")
    assert settings.weight_at(5) == pytest.approx(0.01)
    assert settings.weight_at(6) / settings.weight_at(5) == pytest.approx(1.09)


def test_subsets_may_differ_by_stage():
    settings = InvRegSettings(stages=(0, 2), subsets=(2, 4))
    assert [settings.subsets_at(0), settings.subsets_at(1)] == [2, 4]


def test_partitions_may_come_from_elsewhere_at_each_stage():
    settings = InvRegSettings(stages=(0, 2), partition=("table", "learned"))
    assert [settings.partition_at(0), settings.partition_at(1)] == ["table", "learned"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"weight": -1.0}, "invreg.weight is -1, expected at least 0; correct the value"),
        ({"subsets": 1}, "invreg.subsets is 1, expected at least 2 and at most 254; correct the"),
        ({"subsets": (2, 3)}, "invreg.subsets lists 2 values for 3 stages; give one value, or"),
        ({"stages": (3, 1)}, r"invreg.stages is \(3, 1\), expected epochs in rising order, each"),
        ({"stages": (-1,)}, "invreg.stages is -1, expected at least 0; correct the value"),
        ({"penalty": "irm"}, "invreg.penalty is 'irm', expected one of irmv1, rex; choose one"),
        ({"risk": "mean"}, "invreg.risk is 'mean', expected one of pooled, subsets; choose one"),
        (
            {"partition": "x"},
            "invreg.partition is 'x', expected one of learned, shuffled, random, table",
        ),
        ({"partition": ("table",)}, "invreg.partition lists 1 values for 3 stages; give one v"),
        ({"visits": 0}, "invreg.visits is 0, expected at least 1; correct the value"),
        ({"identities_per_batch": 1}, "invreg.identities_per_batch is 1, expected at least 2"),
        ({"min_steps": 0}, "invreg.min_steps is 0, expected at least 1"),
        ({"patience": -1}, "invreg.patience is -1, expected at least 0"),
        ({"learning_rate": 0.0}, "invreg.learning_rate is 0, expected at least 1e-06 and at most"),
        ({"balance": -1.0}, "invreg.balance is -1, expected at least 0"),
        ({"temperature": 0.001}, "invreg.temperature is 0.001, expected at least 0.02"),
        ({"tolerance": 2.0}, "invreg.tolerance is 2, expected at least 0 and at most 1"),
        ({"images_per_identity": 1}, "invreg.images_per_identity is 1, expected at least 2"),
        ({"objective": "x"}, "invreg.objective is 'x', expected one of paper, rex, irmv1"),
        ({"weight_schedule": "x"}, "weight_schedule is 'x', expected one of constant, released"),
    ],
)
def test_a_value_out_of_range_is_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        InvRegSettings(**changes)


def test_the_lowest_temperature_does_not_overflow():
    # 2**14 rows of e^(1 / temperature), in float32
    assert math.exp(1 / 0.02) * 2**14 < torch.finfo(torch.float32).max
