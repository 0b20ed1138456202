# SPDX-License-Identifier: MIT
"""The partition that is contrasted: from another plugin, the group table, or a file.

C identities, K subsets.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from arcface_fair.data.groups import Attribute, GroupTable
from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import MAX_SUBSETS, NOT_ASSIGNED, PARTITION, STAGES, Partition
from contrast_plugin.config import SESSION, TABLE, ContrastSettings

if TYPE_CHECKING:
    from arcface_fair.plugin.session import Session


def written_subsets(settings: ContrastSettings, session: Session) -> Partition | None:
    """The partition that the user named, checked; None where another plugin publishes it.

    Raises UserError for a table that is missing, fewer than two subsets, and a subset with fewer
    images than maps are asked for.
    """
    if settings.partition == SESSION:
        return None
    column, where = _column(settings, session)
    if len(column.names) > MAX_SUBSETS:
        raise UserError(
            f"{where} has {len(column.names)} different words, expected at most {MAX_SUBSETS} "
            "subsets; name a column that groups identities"
        )
    subset = np.where(column.codes >= 0, column.codes, NOT_ASSIGNED).astype(np.uint8)
    found = Partition.of_subset(subset, names=column.names)
    images = found.images(session.run.dataset.identities)
    if (images > 0).sum() < 2:
        only = next((n for n, count in zip(found.names, images, strict=True) if count), None)
        what = f"only the subset {only!r}" if only else "no subset"
        raise UserError(
            f"{where} has {what} among the identities with images, expected at least two to "
            "compare; name a column with two groups or more"
        )
    for name, count in zip(found.names, images.tolist(), strict=True):
        if count < settings.maps:
            raise UserError(
                f"{where}: subset {name!r} has {count} images, expected at least "
                f"contrast.maps = {settings.maps}; lower contrast.maps or join subsets"
            )
    return found


def _column(settings: ContrastSettings, session: Session) -> tuple[Attribute, str]:
    """The column of words, and how to call it."""
    if settings.partition == TABLE:
        if session.run.group_table is None:
            raise UserError(
                "contrast.partition is 'table' but the run has no group table; set "
                "config.groups to one"
            )
        name = settings.attribute or session.group_attribute
        assert name is not None  # a session with a table has chosen a column
        return session.run.group_table[name], f"the group table's column {name!r}"
    path = Path(settings.partition)
    if not path.is_file():
        raise UserError(
            f"contrast.partition is {settings.partition!r}, expected 'session', 'table' or "
            "an existing file such as partitions/stage_1.tsv; correct it"
        )
    table = GroupTable.read(path, session.run.num_classes)
    name = settings.attribute or next(iter(table.attributes))
    return table[name], f"{path}, column {name!r}"


def check_publisher(session: Session, epoch: int, own_name: str) -> None:
    """Refuses, before the first step, a run in which nobody will have published a partition."""
    announced = session.shared.get(STAGES)
    if announced is None:
        raise UserError(
            "contrast.partition is 'session' but no plugin of this run makes partitions; put "
            "one that does before contrast_plugin in config.plugins, or name 'table' or a file"
        )
    name, epochs = announced
    if not epochs or min(epochs) > epoch:
        first = min(epochs, default=None)
        raise UserError(
            f"{name} makes its first partition before epoch {first}, but contrast.start asks "
            f"for one before epoch {epoch}; give {name}.stages an epoch from 0 to {epoch}, or "
            "raise contrast.start"
        )
    order = [plugin.name for plugin in session.plugins]
    if order.index(name) > order.index(own_name):
        raise UserError(
            f"config.plugins lists {own_name} before {name}, whose partition it needs; put {name} "
            "first"
        )


def published_subsets(session: Session) -> Partition:
    """The newest partition that a plugin published."""
    return Partition.of_subset(np.asarray(session.shared[PARTITION]).copy())
