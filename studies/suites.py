# SPDX-License-Identifier: MIT
"""The tables by name, and the rows of those that were asked for, each row once."""

from __future__ import annotations

from functools import cache

from drawn_faces import WORLDS
from studies.choices import CHOICES
from studies.rows import MAIN, Row, world_rows
from studies.sweeps import SWEEPS


@cache
def suites() -> dict[str, tuple[Row, ...]]:
    """Every table: ``main``, ``worlds`` (all harder worlds) and the sweeps of the papers."""
    harder = [name for name in WORLDS if name not in ("confounded", "control")]
    found = {"main": MAIN, "worlds": tuple(row for name in harder for row in world_rows(name))}
    return found | {"choices": CHOICES} | SWEEPS


def all_rows() -> dict[str, Row]:
    """Every row by name."""
    return {row.name: row for rows in suites().values() for row in rows}


TITLES = {
    "main": "The methods and their controls",
    "worlds": "Harder worlds",
    "choices": "What was chosen for partition-contrast erasing",
    "table3": "GABN, Table 3: the threshold of confidence",
    "table4": "GABN, Table 4: the parts",
    "table8": "INV-REG, Table 8: subsets",
    "table9": "INV-REG, Table 9: partitions",
    "figure6": "INV-REG, Figure 6: lambda",
    "linv": "INV-REG: IRMv1 or REx in either step",
    "leads": "Leads: what was left to try",
}
