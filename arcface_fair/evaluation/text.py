# SPDX-License-Identifier: MIT
"""Tables for a terminal: every table of the package and its numbers are laid out here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def text_table(heads: Sequence[str], lines: Sequence[Sequence[Any]]) -> str:
    """Columns side by side: the first to the left, others to the right; short rows filled."""
    rows = [list(map(str, row)) for row in (heads, *lines)]
    columns = max(len(row) for row in rows)
    rows = [row + [""] * (columns - len(row)) for row in rows]
    widths = [max(len(row[at]) for row in rows) for at in range(columns)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    )


def two_digits(value: float, signed: bool = False) -> str:
    """A number with two decimals, "-" for an unknown one."""
    if math.isnan(value):
        return "-"
    return f"{value:+.2f}" if signed else f"{value:.2f}"
