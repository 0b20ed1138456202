# SPDX-License-Identifier: MIT
"""Margins change what they say they change, with the gradient they promise."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arcface_fair.errors import UserError
from arcface_fair.head import ArcFace, CombinedMargin, CosFace
from arcface_fair.head.margin import ContextMargin, TargetMargin
from tests.arcface_fair.head.full_softmax import Curricular

COSINES = torch.tensor([[0.5, -0.2, 0.9], [0.1, 0.7, -0.4]], dtype=torch.float64)
LABELS = torch.tensor([2, -1])


def test_arcface_adds_the_angle_to_the_target_alone() -> None:
    logits = ArcFace(10.0, 0.5)(COSINES, LABELS)
    wanted = 10 * COSINES
    wanted[0, 2] = 10 * math.cos(math.acos(0.9) + 0.5)
    torch.testing.assert_close(logits, wanted)


def test_cosface_subtracts_from_the_target_alone() -> None:
    logits = CosFace(10.0, 0.4)(COSINES, LABELS)
    wanted = 10 * COSINES
    wanted[0, 2] = 10 * (0.9 - 0.4)
    torch.testing.assert_close(logits, wanted)


@pytest.mark.parametrize(
    "margin", [ArcFace(), CosFace(), CombinedMargin(64, 1, 0.5, 0, 0.3)], ids=str
)
def test_labels_may_be_a_column_as_upstreams_head_gives_them(margin: TargetMargin) -> None:
    before = COSINES.clone()
    assert torch.equal(margin(COSINES, LABELS[:, None]), margin(COSINES, LABELS))
    assert torch.equal(COSINES, before)


@pytest.mark.parametrize(
    "margin", [ArcFace(), CosFace(), CombinedMargin(64, 1, 0.5, 0, 0.3)], ids=str
)
def test_a_shard_without_any_label_keeps_its_cosines(margin: TargetMargin) -> None:
    cosines = torch.full((2, 3), 0.25)
    assert torch.equal(margin(cosines, torch.tensor([-1, -1])), 64 * cosines)


@pytest.mark.parametrize(("gradient", "slope"), [("upstream", 1.0), ("exact", None)])
def test_arcfaces_two_gradients(gradient: Any, slope: float | None) -> None:
    cosines = COSINES.clone().requires_grad_()
    ArcFace(10.0, 0.5, gradient)(cosines, LABELS).sum().backward()
    theta = math.acos(0.9)
    target = math.sin(theta + 0.5) / math.sin(theta) if slope is None else slope
    wanted = torch.full_like(COSINES, 10.0)
    wanted[0, 2] = 10 * target
    assert cosines.grad is not None
    torch.testing.assert_close(cosines.grad, wanted)


def test_past_pi_upstream_turns_up_again_and_exact_falls_on() -> None:
    cosines = torch.tensor([[-0.99]], dtype=torch.float64)
    own = torch.tensor([0])
    up = ArcFace(1.0, 0.5)(cosines, own).item()
    exact = ArcFace(1.0, 0.5, gradient="exact")(cosines, own).item()
    assert up == pytest.approx(math.cos(math.acos(-0.99) + 0.5))
    assert exact == pytest.approx(-0.99 - 0.5 * math.sin(math.pi - 0.5))


@pytest.mark.parametrize("edge", [-1.0, 1.0])
@pytest.mark.parametrize("gradient", ["upstream", "exact"])
def test_the_gradient_at_the_ends_is_finite(edge: float, gradient: Any) -> None:
    cosines = torch.tensor([[edge]], requires_grad=True)
    ArcFace(64.0, 0.5, gradient)(cosines, torch.tensor([0])).sum().backward()
    assert cosines.grad is not None
    assert bool(cosines.grad.isfinite().all())


def test_the_filter_drops_other_cosines_above_it_and_their_gradient() -> None:
    cosines = COSINES.clone().requires_grad_()
    logits = CombinedMargin(10.0, 1.0, 0.0, 0.1, 0.3)(cosines, LABELS)
    wanted = torch.tensor([[0, -2.0, 8.0], [1.0, 0.0, -4.0]], dtype=torch.float64)
    torch.testing.assert_close(logits, wanted)
    logits.sum().backward()
    slopes = torch.tensor([[0, 10.0, 10.0], [10.0, 0.0, 10.0]], dtype=torch.float64)
    assert cosines.grad is not None
    torch.testing.assert_close(cosines.grad, slopes)


@pytest.mark.parametrize(
    ("combined", "single"),
    [
        (CombinedMargin(64, 1.0, 0.5, 0.0), ArcFace(64, 0.5)),
        (CombinedMargin(64, 1.0, 0.5, 0.0, gradient="exact"), ArcFace(64, 0.5, "exact")),
        (CombinedMargin(64, 1.0, 0.0, 0.4), CosFace(64, 0.4)),
        (CombinedMargin(64, 1.3, 0.2, 0.4), CosFace(64, 0.4)),
    ],
)
def test_the_combined_form_is_read_as_upstream_reads_it(
    combined: TargetMargin, single: TargetMargin
) -> None:
    assert torch.equal(combined(COSINES, LABELS), single(COSINES, LABELS))


@given(st.floats(-0.999, 0.999), st.floats(0, 1.5))
def test_exact_arcface_has_the_slope_of_its_values(cosine: float, m: float) -> None:
    margin = ArcFace(1.0, m, gradient="exact")
    at = torch.tensor([cosine], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(margin.target(at).sum(), at)
    if abs(cosine - math.cos(math.pi - m)) < 1e-4:
        return  # the two branches meet here
    step = 1e-7
    high, low = (margin.target(at.detach() + sign * step).item() for sign in (1, -1))
    assert slope.item() == pytest.approx((high - low) / (2 * step), rel=1e-4, abs=1e-6)


def test_a_margin_that_needs_more_is_recognised() -> None:
    assert isinstance(Curricular(), ContextMargin)
    assert not isinstance(ArcFace(), ContextMargin)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ArcFace(0.0), "margin scale s is 0.0, expected a positive number"),
        (lambda: CosFace(math.nan), "margin scale s is nan, expected a positive number"),
        (lambda: ArcFace(64, -0.1), r"ArcFace margin m is -0.1, expected 0..1.571; it is an angle"),
        (lambda: ArcFace(64, 2.0), r"ArcFace margin m is 2.0, expected 0..1.571"),
        (lambda: CosFace(64, 1.5), r"CosFace margin m is 1.5, expected 0..1; it is subtracted"),
        (lambda: ArcFace(64, 0.5, "true"), "gradient is 'true', expected 'upstream' or 'exact'"),  # type: ignore[arg-type]
        (lambda: CombinedMargin(64, 1, 0.5, -0.1), "margin m3 is -0.1, expected 0..1"),
        (lambda: CombinedMargin(64, 1, 9, 0), "margin m2 is 9, expected 0..1.571"),
        (
            lambda: CombinedMargin(64, 1.3, 0.2, 0.0),
            r"margins \(m1, m2, m3\) are \(1.3, 0.2, 0.0\), expected m1 = 1 \(ArcFace\) or m3 > 0",
        ),
        (
            lambda: CombinedMargin(64, 1, 0.5, 0, 1.5),
            "interclass_filtering_threshold is 1.5, expected a cosine in 0..1; use 0",
        ),
    ],
)
def test_settings_out_of_range_are_said(make: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        make()
