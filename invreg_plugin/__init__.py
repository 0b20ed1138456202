# SPDX-License-Identifier: MIT
"""INV-REG (ICCV 2023): learns identity partitions without labels, and a classifier that is
invariant across them.

A run that lists ``invreg_plugin`` in ``config.plugins`` gets one hook, which partitions the
identities at the listed epochs, and one penalty over all partitions found so far.
"""

from __future__ import annotations

from arcface_fair.plugin.partition import STAGES
from arcface_fair.plugin.parts import Penalty, Plugin
from arcface_fair.plugin.session import Session
from invreg_plugin.config import InvRegSettings as Settings
from invreg_plugin.hook import PartitionStages, check_stages
from invreg_plugin.penalty import invariance, subset_risk_correction
from invreg_plugin.state import Partitions

NAME = "invreg"

__all__ = ["NAME", "Settings", "build"]


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of INV-REG for one run. Raises UserError for stages that cannot be made."""
    check_stages(settings, session)
    session.shared[STAGES] = (NAME, tuple(settings.stages))
    partitions = Partitions(len(settings.stages), session.run.num_classes, session.run.device)
    penalty = Penalty("invreg", invariance(settings.penalty, partitions), settings.weight)
    penalties = [penalty]
    if settings.risk == "subsets":
        penalties.append(Penalty("invreg_risk", subset_risk_correction(partitions)))
    return Plugin(
        name=NAME,
        hooks=(PartitionStages(settings, partitions, penalty),),
        penalties=tuple(penalties),
        state=partitions,
    )
