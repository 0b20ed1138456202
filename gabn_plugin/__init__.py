# SPDX-License-Identifier: MIT
"""GABN (CVPRW 2023): balances what a network attends to, and how sure it is, across groups.

A run that lists ``gabn_plugin`` in ``config.plugins`` gets an augmentation (one look at the clean
images, then erasure of what the network attends to), a shift of the negatives around the head's
margin, and one penalty, L_adv. docs/gabn.md explains the readings of the paper's objective.
"""

from __future__ import annotations

import logging
from typing import Any

from torch import Tensor

from arcface_fair.attention.gradient_maps import ObjectiveScale
from arcface_fair.errors import UserError
from arcface_fair.plugin.context import LossStep
from arcface_fair.plugin.parts import Augmentation, Penalty, Plugin
from arcface_fair.plugin.session import Session
from gabn_plugin.classifier import MapClassifier
from gabn_plugin.config import GabnSettings as Settings
from gabn_plugin.config import reads_old
from gabn_plugin.hook import BalanceSchedule, BalanceState
from gabn_plugin.margin import ShiftedNegatives, angular_margin, install_shift
from gabn_plugin.step import BalanceStep
from gabn_plugin.watch import AttentionWatch

NAME = "gabn"
LOGGER = logging.getLogger("arcface_fair.gabn")

__all__ = ["NAME", "Settings", "build", "reads_old"]


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of GABN for one run. Raises UserError for groups that it cannot work with."""
    names = _group_names(settings, session)
    seed = session.run.seed if settings.seed is None else settings.seed
    classifier = None
    if settings.adversarial:
        classifier = MapClassifier(settings, len(names), seed, session.run.device)
    inner, unit, shifted = _shift(settings, session)
    scale, watch = ObjectiveScale(), AttentionWatch(names, session)
    balance = BalanceStep(
        settings, session, inner_margin=inner, unit=unit, shifted=shifted,
        classifier=classifier, scale=scale, watch=watch,
    )  # fmt: skip
    return assemble(settings, balance)


def assemble(settings: Settings, balance: BalanceStep) -> Plugin:
    """The plugin's parts around ``balance``, which makes the maps and L_adv of a step."""

    def confusion(step: LossStep) -> Tensor:
        assert balance.term is not None
        return balance.term

    penalty = Penalty("gabn_confusion", confusion, weight=0.0)
    return Plugin(
        name=NAME,
        hooks=(BalanceSchedule(settings, balance, penalty), balance.watch),
        penalties=(penalty,),
        augmentations=(Augmentation("gabn", balance),),
        state=BalanceState(balance.classifier, balance.scale),
    )


def _shift(settings: Settings, session: Session) -> tuple[Any, float, ShiftedNegatives | None]:
    """The head's own margin, K's unit [rad], and the shift around the margin if K has a part."""
    inner = session.head.margin_softmax
    literal = settings.objective == "literal"
    in_angle = settings.confidence or (settings.adversarial and settings.objective != "term")
    if not in_angle:
        return inner, 0.0, None
    if literal:
        LOGGER.warning(
            "gabn.objective is 'literal': K = L_conf + L_adv is at least log(groups) = 1.386 rad "
            "for four, which leaves nothing to learn; it is here for the record, train with 'term'"
        )
    unit = settings.shift
    if literal:
        unit = 1.0
    elif unit is None:
        unit = angular_margin(inner) / 2
    shifted = install_shift(session.head, settings.shift_gradient, clamp=not literal)
    return inner, unit, shifted


def _group_names(settings: Settings, session: Session) -> tuple[str, ...]:
    """One name per group; empty where there is no table and nothing asks for groups."""
    table, attribute = session.run.group_table, session.group_attribute
    names: tuple[str, ...] = () if table is None or attribute is None else table[attribute].names
    if settings.num_groups is not None:
        if settings.num_groups < len(names):
            raise UserError(
                f"gabn.num_groups is {settings.num_groups} but the group table names "
                f"{len(names)} groups ({', '.join(names)}); leave gabn.num_groups out"
            )
        extra = range(len(names), settings.num_groups)
        names = (*names, *(f"group_{number}" for number in extra))
    if settings.adversarial and not names:
        raise UserError(
            "gabn.adversarial needs to know groups, but the run has no group table; set "
            "config.groups to one, gabn.num_groups where the host's batches carry groups, or "
            "gabn.adversarial = False"
        )
    if settings.adversarial and len(names) < 2:
        raise UserError(
            f"gabn.adversarial needs at least two groups, but the group table knows only "
            f"{names[0]!r}; choose another column with config.group_attribute or set "
            "gabn.adversarial = False"
        )
    return names
