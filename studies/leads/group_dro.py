# SPDX-License-Identifier: MIT
"""Group-DRO: the loss of the groups, weighted towards those that do worst.

    q_g <- q_g exp(eta (L_g + a / sqrt(n_g))) / sum,      loss = sum_g q_g L_g

L_g is the mean cross entropy of group g in the gathered batch, n_g its identities, a the
generalisation adjustment. Source: Sagawa et al. 2020 (arXiv:1911.08731), algorithm 1 and eq. 5.
The groups are those of the group table, or a partition that INV-REG published: learned, random or
shuffled.

N rows of the gathered batch, K groups. As a `Penalty` it is the difference from the head's own
mean over rows, so that the sum of both is the loss above; rows of no group leave the loss. It
reads what is equal on all ranks already, calls no collective, and works on shards and samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from arcface_fair.plugin.context import LossStep
from arcface_fair.plugin.parts import Hook, Penalty, Plugin
from arcface_fair.plugin.session import Session
from arcface_fair.plugin.settings import check_choice, check_range
from studies.leads.subsets import SOURCES, IdentityGroups

NAME = "group_dro"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How fast the weights follow the losses, and whose losses they are."""

    eta: float = 0.01  # step of the weights; Sagawa et al. use 0.01
    adjustment: float = 0.0  # a, in nats times the square root of identities; 0: none
    groups: str = "table"  # table | session
    attribute: str | None = None  # the table's column; None: the run's

    def __post_init__(self) -> None:
        """Raises UserError for the first value that is out of range."""
        check_range("group_dro.eta", self.eta, 0)
        check_range("group_dro.adjustment", self.adjustment, 0)
        check_choice("group_dro.groups", self.groups, SOURCES)


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of one run. Raises UserError where there is no table to take groups from."""
    weights = GroupWeights(settings, session)
    return Plugin(
        name=NAME,
        hooks=(weights,),
        penalties=(Penalty("group_dro", weights.correction),),
        state=weights,
    )


class GroupWeights(Hook):
    """q [K], equal on all ranks; even until the first step of a grouping."""

    def __init__(self, settings: Settings, session: Session) -> None:
        self.settings, self.session = settings, session
        self.groups = IdentityGroups(settings.groups, settings.attribute, session)
        self.weights = self._even()

    def before_epoch(self, session: Session) -> None:
        """New groups begin with even weights."""
        if self.groups.refresh(session):
            self.weights = self._even()

    def correction(self, step: LossStep) -> Tensor:
        """sum_g q_g L_g - mean(ce), after q was moved by this step's losses; 0 without groups."""
        rows = self.groups.of_batch(step.batch_labels)
        losses, present = group_losses(step.ce, rows, self.groups.count)
        if not bool(present.any()):
            return step.ce.sum() * 0
        pull = losses.detach() + self.settings.adjustment / self.groups.sizes().clamp_min(1).sqrt()
        self.weights = moved(self.weights, torch.where(present, pull, 0.0), self.settings.eta)
        for group, weight in enumerate(self.weights):
            self.session.log(f"group_dro/weight_{group}", weight)
        return (self.weights.to(losses) * losses).sum() - step.ce.mean()

    def state_dict(self) -> dict[str, Any]:
        """The same on every rank."""
        return {"weights": self.weights.cpu(), "groups": self.groups.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.groups.load_state_dict(state["groups"])
        self.weights = state["weights"].to(self.session.run.device)

    def _even(self) -> Tensor:
        count = max(self.groups.count, 1)
        return torch.full((count,), 1 / count, device=self.session.run.device)


def group_losses(ce: Tensor, groups: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(L_g [K], 0 where absent; which groups are present [K]) from ce [N] and groups [N]."""
    members = (groups == torch.arange(count, device=groups.device)[:, None]).to(ce)
    sizes = members.sum(1)
    return members @ ce / sizes.clamp_min(1), sizes > 0


def moved(weights: Tensor, pull: Tensor, eta: float) -> Tensor:
    """q after one multiplicative step, [K]; a group that the batch lacks pulls with 0."""
    return (weights.log() + eta * pull).softmax(0)
