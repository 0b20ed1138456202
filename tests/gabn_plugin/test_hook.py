# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from arcface_fair.attention.gradient_maps import ObjectiveScale
from arcface_fair.plugin.parts import Penalty
from gabn_plugin.classifier import MapClassifier
from gabn_plugin.config import GabnSettings
from gabn_plugin.hook import BalanceSchedule, BalanceState


def weights(steps: int, **settings: Any) -> list[float]:
    """The penalty's weight in each step of a run of ``steps``, resumed nowhere."""
    balance: Any = SimpleNamespace(weight=-1.0, term=None, classifier=None)
    penalty = Penalty("gabn_confusion", lambda step: torch.zeros(()))
    schedule = BalanceSchedule(GabnSettings(**settings), balance, penalty)
    session: Any = SimpleNamespace(epoch=0, global_step=0, run=SimpleNamespace(total_steps=steps))
    schedule.before_epoch(session)
    found = []
    for step in range(1, steps + 1):
        assert balance.weight == penalty.weight
        found.append(penalty.weight)
        session.global_step = step
        schedule.after_step(session)
    return found


def test_ladv_counts_after_its_start():
    assert weights(8, weight=0.5, start=0.25) == [0, 0, *[0.5] * 6]
    assert weights(3, weight=0.5, start=0.0) == [0.5] * 3
    assert weights(3, weight=0.5, start=1.0) == [0] * 3


def test_ladv_counts_on_every_nth_step_with_its_weight_unchanged():
    assert weights(7, weight=0.5, start=0.0, every=3) == [0.5, 0, 0, 0.5, 0, 0, 0.5]


@pytest.mark.parametrize("settings", [{"objective": "shift"}, {"adversarial": False}])
def test_ladv_is_no_term_where_it_is_off_or_part_of_k(settings):
    assert weights(4, start=0.0, **settings) == [0] * 4


def test_the_state_holds_classifier_and_scale_and_goes_without_a_classifier():
    settings = GabnSettings(classifier_width=4, map_side=28)
    judge = MapClassifier(settings, 2, 0, torch.device("cpu"))
    scale = ObjectiveScale()
    scale.value = 64.0
    state = BalanceState(judge, scale).state_dict()
    other, fresh = MapClassifier(settings, 2, 1, torch.device("cpu")), ObjectiveScale()
    BalanceState(other, fresh).load_state_dict(state)
    assert fresh.value == 64.0
    assert torch.equal(other.network.fc.weight, judge.network.fc.weight)
    bare = BalanceState(None, scale).state_dict()
    assert "classifier" not in bare
    before = other.network.fc.weight.clone()
    BalanceState(other, fresh).load_state_dict(bare)
    assert torch.equal(other.network.fc.weight, before)
