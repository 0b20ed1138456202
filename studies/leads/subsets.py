# SPDX-License-Identifier: MIT
"""Which group every identity belongs to, for the leads: a column of the table, or a partition.

C identities, K groups, N rows of the gathered batch; -1 where an identity belongs to none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import PARTITION, codes_of
from arcface_fair.plugin.session import Session

SOURCES = ("table", "session")


class IdentityGroups:
    """``codes`` int64 [C] in 0..count-1 or -1, equal on all ranks; count 0 until there are any.

    ``source``: "table", the column ``attribute`` (None: the run's) of the group table, or
    "session", the newest partition that a plugin of the run has published. It is part of the
    checkpoint, so that a resumed run knows whether what is published is new.
    """

    def __init__(self, source: str, attribute: str | None, session: Session) -> None:
        self.source, self.device = source, session.run.device
        self.codes = torch.full((session.run.num_classes,), -1, device=session.run.device)
        self.count = 0
        if source == "table":
            self._take(_column(session, attribute))

    def refresh(self, session: Session) -> bool:
        """Takes a newly published partition; whether the groups changed."""
        published = session.shared.get(PARTITION) if self.source == "session" else None
        if published is None:
            return False
        return self._take(codes_of(np.asarray(published)))

    def of_batch(self, batch_labels: Tensor) -> Tensor:
        """Groups of the rows of the gathered batch, int64 [N]."""
        return self.codes[batch_labels]

    def sizes(self) -> Tensor:
        """Identities of each group, int64 [K]."""
        return self.codes[self.codes >= 0].bincount(minlength=self.count)

    def state_dict(self) -> dict[str, Any]:
        """The same on every rank."""
        return {"codes": self.codes.cpu(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave. Raises UserError for other identities."""
        if len(state["codes"]) != len(self.codes):
            raise UserError(
                f"the checkpoint's groups are of {len(state['codes'])} identities, this run has "
                f"{len(self.codes)}; resume with the record of the first run"
            )
        self.codes, self.count = state["codes"].to(self.device), int(state["count"])

    def _take(self, codes: np.ndarray) -> bool:
        taken = torch.from_numpy(codes).to(self.device)
        if torch.equal(taken, self.codes):
            return False
        self.codes, self.count = taken, int(taken.max()) + 1
        return True


def _column(session: Session, attribute: str | None) -> np.ndarray:
    table = session.run.group_table
    name = attribute or session.group_attribute
    if table is None or name is None:
        raise UserError(
            "groups come from 'table' but the run has no group table; set config.groups, or take "
            "them from 'session' beside a plugin that learns partitions"
        )
    if name not in table.attributes:
        raise UserError(
            f"attribute is {name!r}, but the group table has the columns "
            f"{', '.join(table.attributes)}; choose one of them"
        )
    return table.attributes[name].codes
