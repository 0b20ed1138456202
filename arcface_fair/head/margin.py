# SPDX-License-Identifier: MIT
"""Margins: local cosines in, logits out; what a margin may ask for, and the three usual ones.

A margin is any callable ``margin(local_cosines [N, K], local_labels [N] or [N, 1]) -> logits
[N, K]`` with -1 for a label that lives on another shard, as upstream's are. Columns must not
depend on each other, because the chunked kernel shows a margin one block of columns at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from arcface_fair.errors import UserError


@dataclass(frozen=True)
class MarginContext:
    """What a margin with ``needs_context = True`` is given as its third argument."""

    target_cosine: Tensor  # [N] cosine to the own class centre, global, with a graph
    norms: Tensor  # [N] embedding norms before normalisation, global, with a graph
    groups: Tensor | None = None  # [N] int64 group ids, -1 unknown; None if the host set none
    state: Any = None  # whatever the margin's ``prepare`` put here


@runtime_checkable
class ContextMargin(Protocol):
    """A margin that asks for more than cosines and labels.

    ``prepare``, optional, is called once per pass, on all ranks with equal values, before any
    block of columns: running averages are updated there and handed on in ``state``.
    """

    needs_context: bool

    def __call__(self, cosines: Tensor, labels: Tensor, context: MarginContext) -> Tensor:
        """Logits [N, K] of one block of columns."""


class TargetMargin(nn.Module):
    """A margin that changes the target's cosine alone: z_ij = s cos_ij, z_iy = s target(cos_iy).

    The head handles such margins faster than others. ``interclass_filtering_threshold`` > 0 sets
    the other cosines above it to 0, without gradient, as upstream does.
    """

    def __init__(self, s: float, interclass_filtering_threshold: float = 0.0) -> None:
        super().__init__()
        if not (math.isfinite(s) and s > 0):
            raise UserError(f"margin scale s is {s}, expected a positive number; use 64 or 32")
        if not 0 <= interclass_filtering_threshold <= 1:
            raise UserError(
                f"interclass_filtering_threshold is {interclass_filtering_threshold}, expected a "
                "cosine in 0..1; use 0 to turn the filter off"
            )
        self.s = float(s)
        self.interclass_filtering_threshold = float(interclass_filtering_threshold)

    def target(self, cosines: Tensor) -> Tensor:
        """The target cosines [n] in -1..1 after the margin, before the scale; differentiable."""
        raise NotImplementedError

    def forward(self, cosines: Tensor, labels: Tensor) -> Tensor:
        """Logits [N, K] from cosines [N, K] in -1..1 and labels [N] or [N, 1], -1 elsewhere."""
        labels = labels.reshape(-1)
        (rows,) = torch.where(labels >= 0)
        columns = labels[rows]
        own = self.target(cosines[rows, columns])
        if self.interclass_filtering_threshold > 0:
            cosines = cosines * (cosines <= self.interclass_filtering_threshold)
        logits = cosines * self.s
        logits[rows, columns] = own * self.s
        return logits


class _StraightThrough(torch.autograd.Function):
    """The second argument's value with the first one's gradient."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        return grad, None


def _angular(cosines: Tensor, m: float, gradient: str) -> Tensor:
    if gradient == "upstream":
        with torch.no_grad():
            value = torch.cos(torch.arccos(cosines) + m)
        return _StraightThrough.apply(cosines, value)
    # The floor keeps the derivative finite at cos = +-1; there it is that of cos(m) * cos.
    sine = (1 - cosines * cosines).clamp_min(1e-12).sqrt()
    value = cosines * math.cos(m) - sine * math.sin(m)
    return torch.where(cosines > math.cos(math.pi - m), value, cosines - math.sin(m) * m)


def _check_range(name: str, value: float, low: float, high: float, hint: str) -> None:
    if not low <= value <= high:
        raise UserError(f"{name} is {value}, expected {low:g}..{high:.4g}; {hint}")


def _check_gradient(gradient: str) -> None:
    if gradient not in ("upstream", "exact"):
        raise UserError(
            f"gradient is {gradient!r}, expected 'upstream' or 'exact'; use 'upstream' for "
            "arcface_torch's loss"
        )


class ArcFace(TargetMargin):
    """z_iy = s cos(theta + m), z_ij = s cos(theta_j) (arXiv 1801.07698, eq. 3); m in radians.

    ``gradient="upstream"``: arcface_torch's loss, where acos and cos are taken without a graph,
    so d z_iy / d cos_iy = s, and past pi the value turns up again. ``"exact"``: the true
    derivative s sin(theta + m) / sin(theta), and past pi the usual fallback
    cos_iy - m sin(pi - m), as in INV-REG's release. These are two losses; choose one per run.
    Raises UserError for s <= 0 or m outside 0..pi/2.
    """

    def __init__(
        self, s: float = 64.0, m: float = 0.5, gradient: Literal["upstream", "exact"] = "upstream"
    ) -> None:
        super().__init__(s)
        _check_range("ArcFace margin m", m, 0.0, math.pi / 2, "it is an angle in radians, use 0.5")
        _check_gradient(gradient)
        self.m, self.gradient = float(m), gradient

    def target(self, cosines: Tensor) -> Tensor:
        """cos(theta + m)."""
        return _angular(cosines, self.m, self.gradient)


class CosFace(TargetMargin):
    """z_iy = s (cos_iy - m), z_ij = s cos_ij (arXiv 1801.09414, eq. 4); m is a cosine.

    Raises UserError for s <= 0 or m outside 0..1.
    """

    def __init__(self, s: float = 64.0, m: float = 0.4) -> None:
        super().__init__(s)
        _check_range("CosFace margin m", m, 0.0, 1.0, "it is subtracted from a cosine, use 0.4")
        self.m = float(m)

    def target(self, cosines: Tensor) -> Tensor:
        """Cosine minus m."""
        return cosines - self.m


class CombinedMargin(TargetMargin):
    """Upstream's ``margin_list`` (m1, m2, m3): ArcFace or CosFace, with an interclass filter.

    As upstream reads it: m3 > 0 is CosFace with margin m3, and m1, m2 are not used; m3 = 0 with
    m1 = 1 is ArcFace with margin m2 in radians. Other cosines above
    ``interclass_filtering_threshold`` are set to 0 when it is > 0. ``gradient`` as in ArcFace.
    Raises UserError for what upstream does not define (m1 other than 1 with m3 = 0).
    """

    def __init__(
        self,
        s: float,
        m1: float,
        m2: float,
        m3: float,
        interclass_filtering_threshold: float = 0.0,
        gradient: Literal["upstream", "exact"] = "upstream",
    ) -> None:
        super().__init__(s, interclass_filtering_threshold)
        _check_range("margin m3", m3, 0.0, 1.0, "it is subtracted from a cosine, use 0 or 0.4")
        if m3 == 0 and m1 != 1:
            raise UserError(
                f"margins (m1, m2, m3) are ({m1}, {m2}, {m3}), expected m1 = 1 (ArcFace) or "
                "m3 > 0 (CosFace); use (1.0, 0.5, 0.0) or (1.0, 0.0, 0.4)"
            )
        if m3 == 0:
            _check_range("margin m2", m2, 0.0, math.pi / 2, "it is an angle in radians, use 0.5")
        _check_gradient(gradient)
        self.m1, self.m2, self.m3 = float(m1), float(m2), float(m3)
        self.gradient = gradient

    def target(self, cosines: Tensor) -> Tensor:
        """cos(theta + m2), or cosine minus m3."""
        if self.m3 > 0:
            return cosines - self.m3
        return _angular(cosines, self.m2, self.gradient)
