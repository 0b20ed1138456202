# SPDX-License-Identifier: MIT
"""Moves the negatives' angles by K, whatever margin the target has (GABN, eq. 8).

    z_ij = margin(cos(min(theta_j + K, pi))) for j != y_i,     z_iy as the margin has it

N rows of the gathered batch, k columns of a block of classes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from arcface_fair.errors import UserError
from arcface_fair.head import CIFP
from arcface_fair.head.dispatch import check_kernel

_SMALLEST_SINE = 1e-3


class _Shift(torch.autograd.Function):
    """cos(theta + K) from cos(theta); first order, K takes no gradient."""

    @staticmethod
    def forward(ctx: Any, cosines: Tensor, angle: Tensor, exact: bool, clamp: bool) -> Tensor:
        ctx.exact, ctx.clamp = exact, clamp
        if exact:
            ctx.save_for_backward(cosines, angle)
        shifted = cosines * angle.cos() - _sines(cosines) * angle.sin()
        # theta + K > pi where cos(theta) < cos(pi - K)
        return shifted.masked_fill_(cosines < -angle.cos(), -1.0) if clamp else shifted

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        if not ctx.exact:
            return grad, None, None, None
        cosines, angle = ctx.saved_tensors
        sines = _sines(cosines)
        slope = (sines * angle.cos() + cosines * angle.sin()) / sines.clamp_min(_SMALLEST_SINE)
        if ctx.clamp:
            slope.masked_fill_(cosines < -angle.cos(), 0.0)
        return grad * slope, None, None, None


def _sines(cosines: Tensor) -> Tensor:
    return (1 - cosines * cosines).clamp_min_(0).sqrt_()


class ShiftedNegatives(nn.Module):
    """Any margin, with the other classes' angles moved away from the target by ``angle``.

    angle: K [rad], a scalar tensor equal on all ranks, 0..pi with ``clamp``; set it every step.
    gradient: "upstream" passes d z_ij / d cos_ij = s through, as arcface_torch's target does;
        "exact" is s sin(theta_j + K) / sin(theta_j), the sine floored at 1e-3, 0 where clamped.
    clamp: theta_j + K stops at pi. Without it the cosine turns up again (the literal eq. 8).
    """

    def __init__(self, margin: Any, gradient: str = "upstream", clamp: bool = True) -> None:
        super().__init__()
        self.margin, self.exact, self.clamp = margin, gradient == "exact", clamp
        self.angle: Tensor = torch.zeros(())
        self.needs_context = getattr(margin, "needs_context", False)
        self.needs_all_columns = getattr(margin, "needs_all_columns", False)

    @property
    def s(self) -> float:
        """The scale of the margin inside."""
        return self.margin.s

    @property
    def prepare(self) -> Any:
        """What the margin inside does once per pass, or None."""
        return getattr(self.margin, "prepare", None)

    def target(self, cosines: Tensor) -> Tensor:
        """The target's cosine after the margin inside."""
        return self.margin.target(cosines)

    def forward(self, cosines: Tensor, labels: Tensor, *context: Any) -> Tensor:
        """Logits [N, k] from cosines [N, k] and labels [N] or [N, 1], -1 elsewhere."""
        angle = self.angle.to(cosines)
        shifted = _Shift.apply(cosines, angle, self.exact, self.clamp)
        columns = labels.reshape(-1)
        (rows,) = torch.where(columns >= 0)
        place = (rows, columns[rows])
        return self.margin(shifted.index_put(place, cosines[place]), labels, *context)


class ShiftedCifp(CIFP):
    """CIFP on top of shifted negatives; the pairs are searched among the unshifted cosines."""

    needs_all_columns = True  # the chunked kernel computes CIFP's negatives itself

    def __init__(self, cifp: CIFP, shifted: ShiftedNegatives) -> None:
        nn.Module.__init__(self)
        self.inner = cifp
        self.margin = shifted  # type: ignore[assignment]


def install_shift(head: Any, gradient: str, clamp: bool) -> ShiftedNegatives:
    """Puts the shift around the head's margin and returns it; its angle starts at 0.

    Raises UserError where the head's kernel cannot run the margin (CIFP on "chunked").
    """
    inner = head.margin_softmax
    if isinstance(inner, CIFP):
        shifted = ShiftedNegatives(inner.margin, gradient, clamp)
        wrapped: nn.Module = ShiftedCifp(inner, shifted)
    else:
        shifted = wrapped = ShiftedNegatives(inner, gradient, clamp)
    check_kernel(head.kernel, head.memory_budget_mib, wrapped)  # type: ignore[arg-type]
    head.margin_softmax = wrapped
    return shifted


def angular_margin(margin: Any) -> float:
    """The margin in radians that half of is K's unit.

    Raises UserError for a margin that is no angle (CosFace, or one that does not tell).
    """
    inner = margin.margin if isinstance(margin, CIFP) else margin
    angle = getattr(inner, "m2", None)
    if angle is None:
        angle = getattr(inner, "m", None)
        cosine = type(inner).__name__ == "CosFace"
    else:
        cosine = getattr(inner, "m3", 0) > 0
    if angle is None or cosine:
        raise UserError(
            f"gabn.shift is not set and the margin {type(inner).__name__} is no angle to take it "
            "from; set gabn.shift in radians (0.175 is half of ArcFace 0.35), or confidence = False"
        )
    return float(angle)
