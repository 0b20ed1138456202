# SPDX-License-Identifier: MIT
from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from arcface_fair.plugin.partition import Partition
from contrast_plugin.config import ContrastSettings
from contrast_plugin.estimate import Contrast, decide, near_the_gate
from contrast_plugin.gap import Gaps

SUBSETS = Partition.of_subset(np.array([0, 1, 1, 255], np.uint8))
GAPS = Gaps((0.1, 0.3), (0.01, 0.02), 0.2, 0.0224, 1)
MAP = torch.tensor([[1.0, -1.0], [0.0, 2.0]])


def decided(gaps=GAPS, map_=MAP, images=(8, 8), **settings):
    settings = ContrastSettings(**{"maps": 8, **settings})
    return decide(settings, SUBSETS, gaps, map_, torch.tensor(images))


def test_a_difference_at_the_gate_acts_and_one_below_it_does_not():
    assert decided(gate=0.2).acts
    below = decided(gate=0.2001)
    assert not below.acts
    assert below.why == "the gap difference is below the gate of 0.20"
    assert decided(gate=0.0).acts


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gaps": None}, "fewer than two subsets whose images can be compared"),
        ({"images": (8, 7)}, "subset b has 7 images, fewer than contrast.maps = 8"),
        ({"map_": torch.zeros(2, 2)}, "the maps of the subsets do not differ"),
    ],
)
def test_what_cannot_be_contrasted_closes_the_gate_even_when_it_is_off(changes, why):
    found = decided(gate=0.0, **changes)
    assert not found.acts
    assert why in found.why


def test_unknown_gaps_are_no_numbers():
    found = decided(gaps=None)
    assert math.isnan(found.difference)
    assert all(math.isnan(gap) for gap in found.gap)
    assert not near_the_gate(found, 0.1)


def test_the_mask_is_where_the_map_is_positive():
    assert decided().mask.tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(
    ("gate", "near"), [(0.16, True), (0.24, True), (0.15, False), (0.25, False)]
)
def test_two_standard_errors_about_the_gate_are_near(gate, near):
    assert near_the_gate(decided(), gate) is near


def test_without_a_gate_nothing_is_near_it():
    assert not near_the_gate(decided(), 0.0)


def test_a_state_gives_back_what_it_was_made_of():
    found = decided()
    again = Contrast.from_state(found.as_state(), torch.device("cpu"))
    assert torch.equal(again.map, found.map)
    assert torch.equal(again.subset, found.subset)
    for name in ("names", "gap", "difference", "doubt", "easy", "acts", "why", "digest"):
        assert getattr(again, name) == getattr(found, name)


def test_any_identity_in_another_subset_changes_the_digest():
    other = Partition.of_subset(np.array([0, 1, 0, 255], np.uint8))
    assert other.digest != SUBSETS.digest
