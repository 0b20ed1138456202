# SPDX-License-Identifier: MIT
"""When L_adv counts, and the classifier's learning rate."""

from __future__ import annotations

from typing import Any

from arcface_fair.attention.gradient_maps import ObjectiveScale
from arcface_fair.plugin.parts import Hook, Penalty
from arcface_fair.plugin.session import Session
from gabn_plugin.classifier import MapClassifier
from gabn_plugin.config import GabnSettings
from gabn_plugin.step import BalanceStep, is_due


class BalanceSchedule(Hook):
    """The weight of L_adv in the next step, and the classifier's rate in the epoch."""

    def __init__(
        self,
        settings: GabnSettings,
        balance: BalanceStep,
        penalty: Penalty,
    ) -> None:
        self.settings, self.balance, self.penalty = settings, balance, penalty

    def before_epoch(self, session: Session) -> None:
        """Sets both."""
        if self.balance.classifier is not None:
            self.balance.classifier.set_epoch(session.epoch)
        self._set_weight(session)

    def after_step(self, session: Session) -> None:
        """Sets the next step's weight."""
        self.balance.term = None
        self._set_weight(session)

    def _set_weight(self, session: Session) -> None:
        coming = session.global_step + 1
        begun = coming > self.settings.start * session.run.total_steps
        on = self.settings.differentiable and begun and is_due(coming, self.settings.every)
        self.penalty.weight = self.balance.weight = self.settings.weight if on else 0.0


class BalanceState:
    """What a checkpoint keeps of GABN: classifier of maps, objective's scale."""

    def __init__(self, classifier: MapClassifier | None, scale: ObjectiveScale) -> None:
        self.classifier, self.scale = classifier, scale

    def state_dict(self) -> dict[str, Any]:
        """The same on every rank."""
        state: dict[str, Any] = {"scale": self.scale.state_dict()}
        if self.classifier is not None:
            state["classifier"] = self.classifier.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave; without a classifier in it, a fresh one stays."""
        self.scale.load_state_dict(state["scale"])
        if self.classifier is not None and "classifier" in state:
            self.classifier.load_state_dict(state["classifier"])
