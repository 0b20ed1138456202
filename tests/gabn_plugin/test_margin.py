# SPDX-License-Identifier: MIT
import math

import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.head import CIFP, ArcFace, CombinedMargin, CosFace, PartialFC
from gabn_plugin.margin import ShiftedNegatives, angular_margin, install_shift

COSINES = torch.tensor(
    [[0.3, -0.99, 0.5], [0.9, 0.0, -0.4]], dtype=torch.float64, requires_grad=True
)
LABELS = torch.tensor([[2], [-1]])  # the second row's class lives elsewhere


def shifted(gradient="upstream", clamp=True, angle=0.4, inner=None):
    margin = ShiftedNegatives(ArcFace(10.0, 0.3) if inner is None else inner, gradient, clamp)
    margin.angle = torch.tensor(angle)
    return margin


def test_negatives_move_by_the_angle_and_the_target_keeps_its_margin():
    logits = shifted()(COSINES, LABELS)
    angles = COSINES.detach().acos()
    expected = 10 * (angles + 0.4).clamp(max=math.pi).cos()
    expected[0, 2] = 10 * math.cos(math.acos(0.5) + 0.3)
    torch.testing.assert_close(logits.detach(), expected)
    assert logits[0, 1] == -10  # 0.99 is within 0.4 rad of pi: the angle stops there


def test_without_the_clamp_the_cosine_turns_up_again():
    assert shifted(clamp=False, angle=1.5)(COSINES, LABELS)[0, 1] > -10
    expected = 10 * (COSINES.detach().acos() + 1.5).cos()
    torch.testing.assert_close(shifted(clamp=False, angle=1.5)(COSINES, LABELS)[1], expected[1])


def test_upstreams_derivative_is_the_scale_everywhere():
    (slope,) = torch.autograd.grad(shifted()(COSINES, LABELS).sum(), COSINES)
    torch.testing.assert_close(slope, torch.full_like(slope, 10.0))


def test_the_exact_derivative_is_that_of_the_cosine_and_zero_where_clamped():
    def reference(cosines):
        return 10 * (cosines.acos() + 0.4).cos()

    (slope,) = torch.autograd.grad(shifted("exact")(COSINES, LABELS).sum(), COSINES)
    (expected,) = torch.autograd.grad(reference(COSINES).sum(), COSINES)
    expected[0, 1] = 0.0  # past pi
    expected[0, 2] = 10.0  # the target: the inner margin's own derivative
    torch.testing.assert_close(slope, expected)


def test_the_exact_derivative_stays_finite_at_the_poles():
    poles = torch.tensor([[1.0, -1.0, 1.0 - 1e-9]], requires_grad=True)
    (slope,) = torch.autograd.grad(shifted("exact")(poles, torch.tensor([-1])).sum(), poles)
    assert slope.isfinite().all()
    assert slope[0, 0] == pytest.approx(10 * math.sin(0.4) / 1e-3, rel=1e-4)


def test_an_angle_of_zero_changes_nothing():
    cosines = COSINES.detach()
    for inner in (ArcFace(10.0, 0.3), CosFace(10.0, 0.3), CombinedMargin(10.0, 1, 0.3, 0, 0.4)):
        torch.testing.assert_close(
            shifted(angle=0.0, inner=inner)(cosines, LABELS), inner(cosines, LABELS)
        )


def loss_and_gradients(head):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(6, 8, generator=generator).requires_grad_()
    head(rows, torch.tensor([0, 1, 2, 3, 4, 0])).backward()
    return [rows.grad, head.weight.grad]


@pytest.mark.parametrize("gradient", ["upstream", "exact"])
def test_both_kernels_give_the_same_shifted_loss_and_gradients(gradient):
    found = []
    for kernel in ("dense", "chunked"):
        head = PartialFC(ArcFace(16.0, 0.3), 8, 300, kernel=kernel, memory_budget_mib=1.0)
        install_shift(head, gradient, clamp=True).angle = torch.tensor(0.2)
        found.append(loss_and_gradients(head))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-6)


def test_a_shift_around_cifp_moves_its_negatives_and_keeps_its_target():
    rows = torch.randn(6, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([0, 1, 2, 3, 4, 0])
    head = PartialFC(CIFP(ArcFace(16.0, 0.3)), 8, 30)
    plain = head.statistics(rows, labels)
    shift = install_shift(head, "upstream", clamp=True)
    torch.testing.assert_close(head.statistics(rows, labels).ce, plain.ce)
    shift.angle = torch.tensor(0.3)
    assert (head.statistics(rows, labels).ce < plain.ce).all()


def test_cifp_in_the_chunked_kernel_is_refused():
    head = PartialFC(CIFP(ArcFace(16.0, 0.3)), 8, 30, kernel="chunked")
    with pytest.raises(UserError, match="needs all columns at once"):
        install_shift(head, "upstream", clamp=True)


class Context:
    """A margin that asks for the target's cosine, as CurricularFace does."""

    needs_context = True
    s = 10.0

    def __call__(self, cosines, labels, context):
        return cosines * self.s + context.target_cosine[:, None]


def test_a_margin_that_asks_for_context_still_gets_it():
    rows = torch.randn(4, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(4)
    head = PartialFC(Context(), 8, 30)
    plain = head.statistics(rows, labels).ce
    install_shift(head, "upstream", clamp=True).angle = torch.tensor(0.0)
    torch.testing.assert_close(head.statistics(rows, labels).ce, plain)


def test_the_unit_is_taken_from_an_angular_margin():
    assert angular_margin(ArcFace(64.0, 0.35)) == 0.35
    assert angular_margin(CombinedMargin(64.0, 1.0, 0.4, 0.0)) == 0.4
    assert angular_margin(CIFP(ArcFace(64.0, 0.3))) == 0.3


@pytest.mark.parametrize("margin", [CosFace(64.0, 0.4), CombinedMargin(64.0, 1, 0, 0.4), Context()])
def test_a_margin_that_is_no_angle_needs_the_shift_to_be_set(margin):
    with pytest.raises(UserError, match=r"is no angle to take it from; set gabn.shift in radians"):
        angular_margin(margin)
