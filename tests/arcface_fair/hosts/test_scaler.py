# SPDX-License-Identifier: MIT
"""Ranks skip a step together, or take it together."""

from __future__ import annotations

import pytest
import torch

from arcface_fair import dist
from arcface_fair.hosts.scaler import AgreedGradScaler, agree_on_inf
from tests.ranks import run_ranks


def step_with_an_overflow_on(bad_rank: int, agreed: bool) -> tuple[float, float]:
    """The parameter after one step from 1.0, and the loss scale after it."""
    kind = AgreedGradScaler if agreed else torch.amp.GradScaler
    scaler = kind("cpu", init_scale=8.0)
    parameter = torch.nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    factor = torch.inf if dist.rank() == bad_rank else 1.0
    scaler.scale(parameter * factor).backward()
    scaler.step(optimizer)
    scaler.update()
    return parameter.item(), scaler.get_scale()


def test_all_ranks_skip_when_one_overflows() -> None:
    assert run_ranks(2, step_with_an_overflow_on, 1, True) == [(1.0, 4.0), (1.0, 4.0)]


def test_without_agreement_the_ranks_part() -> None:
    assert run_ranks(2, step_with_an_overflow_on, 1, False) == [(0.5, 8.0), (1.0, 4.0)]


def test_all_ranks_step_when_none_overflows() -> None:
    assert run_ranks(2, step_with_an_overflow_on, -1, True) == [(0.5, 8.0), (0.5, 8.0)]


def test_a_scaler_that_is_off_needs_no_agreement() -> None:
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(()))], lr=0.1)
    agree_on_inf(scaler, optimizer)
    assert scaler.get_scale() == pytest.approx(1.0)
