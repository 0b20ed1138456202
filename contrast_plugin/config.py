# SPDX-License-Identifier: MIT
"""The settings of partition-contrast erasing: ``config.contrast = dict(...)``."""

from __future__ import annotations

import math
from dataclasses import dataclass

from arcface_fair.errors import UserError
from arcface_fair.plugin.settings import check_choice, check_range

FILLS = ("batch", "reference", "grey")
CONTROLS = ("off", "rolled")
MEASURES = ("effect", "sensitivity")
SESSION, TABLE = "session", "table"


@dataclass(frozen=True, kw_only=True)
class ContrastSettings:
    """Which identities are compared, when, and what happens to the pixels that differ."""

    # session: the newest partition that another plugin published | table: a column of the group
    # table | else a file: partitions/stage_N.tsv or a group table
    partition: str = SESSION
    attribute: str | None = None  # the column; None: the run's group_attribute, a file's first
    start: float = 0.375  # share of the run; acts from the first epoch that begins at or after it
    gate: float = 0.10  # least difference of the subsets' gaps for anything to happen; 0: none
    maps: int = 160  # images per subset whose attention is averaged
    # effect: GABN's map times the image's local contrast, to first order what blurring the pixel
    # would do | sensitivity: GABN's map alone
    measure: str = "effect"
    smooth: int = 21  # side of the box that a map is averaged over, pixels, odd
    # what an erased pixel becomes: batch: another image's | reference: that of another image
    # outside the easy subset | grey: the value ``grey``
    fill: str = "batch"
    grey: float = 0.0  # of the fill grey, -1..1; 0 is mid grey
    gap_identities: int = 2000  # at most so many identities are embedded to find the easy subset
    control: str = "off"  # rolled: the same mask, moved to a random place on every image
    seed: int | None = None  # of what is drawn; None: the run's seed

    def __post_init__(self) -> None:
        """Raises UserError for the first value that is out of range."""
        check_range("contrast.start", self.start, 0, 1)
        check_range("contrast.gate", self.gate, 0, 2)
        check_range("contrast.maps", self.maps, 1, 10_000)
        check_range("contrast.smooth", self.smooth, 1, 111)
        check_range("contrast.gap_identities", self.gap_identities, 4)
        check_range("contrast.grey", self.grey, -1, 1)
        check_choice("contrast.fill", self.fill, FILLS)
        check_choice("contrast.measure", self.measure, MEASURES)
        check_choice("contrast.control", self.control, CONTROLS)
        if self.smooth % 2 == 0:
            raise UserError(
                f"contrast.smooth is {self.smooth}, expected an odd number of pixels so that "
                f"the box has a middle; use {self.smooth + 1}"
            )
        if self.partition == SESSION and self.attribute is not None:
            raise UserError(
                f"contrast.attribute is {self.attribute!r} but the partition is "
                "'session', which has no columns; set contrast.partition to 'table' or to a "
                "file, or leave the attribute out"
            )

    def first_epoch(self, num_epochs: int) -> int:
        """The epoch, from 0, before which the map is drawn."""
        # 0.375 * 8 is 3 exactly, 0.1 * 30 a hair more than 3: rounding must not cost an epoch
        return math.ceil(self.start * num_epochs - 1e-9)
