# SPDX-License-Identifier: MIT
"""REx on the risk without a margin: Var_k of the mean plain cross entropy of subset k.

INV-REG's eq. (3) takes the variance of risks that hold the margin, which asks more of whoever has
it easy. Here the risk is ce0_i = -log softmax(s cos)_iy. It needs no second pass: with S the sum
over the other classes, ce = log(1 + S e^-z_iy) and ce0 = log(1 + S e^-(s cos_iy)) differ by the
target's logit alone, so

    ce0 = log(1 + (e^ce - 1) e^(z_iy - s cos_iy))

exactly, for every margin that changes the target alone (ArcFace, CosFace), with its gradient.

N rows of the gathered batch. cos_iy comes from the head's margin context, which all ranks hold;
its gradient is summed over ranks on the way back, so it is divided by their number here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from arcface_fair import dist
from arcface_fair.errors import UserError
from arcface_fair.head import MarginContext
from arcface_fair.head.margin import TargetMargin
from arcface_fair.plugin.context import LossStep
from arcface_fair.plugin.parts import Hook, Penalty, Plugin
from arcface_fair.plugin.session import Session
from arcface_fair.plugin.settings import check_choice, check_range
from invreg_plugin.penalty import rex
from studies.leads.subsets import SOURCES, IdentityGroups

NAME = "margin_free_rex"
_LEAST = 1e-12  # of ce: below it e^ce - 1 is rounding, and the row has no gradient either


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the variance costs, and between whom it is taken."""

    weight: float = 0.05  # of the variance; 0.3 was seen to break training
    groups: str = "session"  # session: the newest partition published | table
    attribute: str | None = None  # the table's column; None: the run's

    def __post_init__(self) -> None:
        """Raises UserError for the first value that is out of range."""
        check_range("margin_free_rex.weight", self.weight, 0)
        check_choice("margin_free_rex.groups", self.groups, SOURCES)


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of one run. Raises UserError for a margin that changes more than the target."""
    watcher = watch_target(session.head)
    groups = IdentityGroups(settings.groups, settings.attribute, session)

    def variance(step: LossStep) -> Tensor:
        plain = watcher.plain_ce(step.ce)
        session.log("margin_free_rex/plain_ce", plain.mean())
        rows = groups.of_batch(step.batch_labels)
        return rex(plain, rows[None], max(groups.count, 2))

    return Plugin(
        name=NAME,
        hooks=(_Refresh(groups),),
        penalties=(Penalty("margin_free_rex", variance, settings.weight),),
        state=groups,
    )


class _Refresh(Hook):
    """Takes new partitions as they are published."""

    def __init__(self, groups: IdentityGroups) -> None:
        self.groups = groups

    def before_epoch(self, session: Session) -> None:
        """All ranks alike."""
        self.groups.refresh(session)


class TargetWatcher(nn.Module):
    """The margin inside, unchanged; keeps the target cosines [N] of the head's last pass."""

    needs_context = True

    def __init__(self, inner: TargetMargin) -> None:
        super().__init__()
        self.inner, self.cosine = inner, torch.zeros(0)

    @property
    def s(self) -> float:
        """The scale of the margin inside."""
        return self.inner.s

    def prepare(self, context: MarginContext) -> MarginContext:
        """Called once per pass, before the columns."""
        self.cosine = context.target_cosine
        return context

    def forward(self, cosines: Tensor, labels: Tensor, context: Any) -> Tensor:
        """Logits [N, K] as the margin inside has them."""
        return self.inner(cosines, labels)

    def plain_ce(self, ce: Tensor) -> Tensor:
        """ce0 [N] of the last pass from its ce [N], with the graph of both."""
        cosine = dist.scale_gradient(self.cosine, 1 / dist.world_size())
        gap = self.s * (self.inner.target(cosine) - cosine)
        return plain_ce(ce, gap)


def plain_ce(ce: Tensor, gap: Tensor) -> Tensor:
    """-log p_y once the target's logit is lowered by ``gap`` [N], from ce [N]; exact."""
    ce = ce.clamp_min(_LEAST)
    odds = ce + torch.log(-torch.expm1(-ce)) + gap  # log of (1 - p_y) / p_y
    return torch.logaddexp(odds, torch.zeros_like(odds))


def watch_target(head: Any) -> TargetWatcher:
    """Puts the watcher around the head's margin and returns it."""
    inner = head.margin_softmax
    if not isinstance(inner, TargetMargin) or inner.interclass_filtering_threshold > 0:
        raise UserError(
            f"margin_free_rex works with a margin that changes the target alone, found "
            f"{type(inner).__name__}; use ArcFace or CosFace without CIFP and without a filter"
        )
    head.margin_softmax = TargetWatcher(inner)
    return head.margin_softmax
