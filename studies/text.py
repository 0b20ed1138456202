# SPDX-License-Identifier: MIT
"""Tables for a terminal: figures, differences to ArcFace, and every row against its controls."""

from __future__ import annotations

import math

from studies.statistics import Paired
from studies.summary import Differences, Line, Table, conclusions, table_warnings

HEADS = (
    "row", "n", "mean", "worst", "TPR@1e-2", "STD n", "SER",
    "mean - baseline", "worst - baseline", "closed", "CPU s",
)  # fmt: skip


def table_text(table: Table) -> str:
    """Everything about one table; STD and SER stand in rows with mean, worst and TPR only."""
    seeds = ", ".join(map(str, table.seeds))
    parts = [
        f"{table.suite}: {table.split} people, seeds {seeds}; percent, differences in points with "
        "95 % t-intervals over seeds",
        aligned([HEADS, *(_cells(line) for line in table.lines)]),
    ]
    against = [
        (f"{line.name} - {control}", len(found["mean"].by_seed), *_two(found))
        for line in table.lines
        for control, found in line.controls.items()
        if found
    ]
    if against:
        heads = ("against its control", "n", "mean", "worst")
        parts.append(aligned([heads, *against]))
    said = [
        f"- {line.name}: {'; '.join(texts)}" for line in table.lines if (texts := conclusions(line))
    ]
    said += [f"- {text}" for text in table_warnings(table)]
    return "\n\n".join([*parts, "\n".join(said)] if said else parts)


def _cells(line: Line) -> tuple[object, ...]:
    f = line.figures
    name = f"  {line.name} (control of {line.control_of})" if line.control_of else line.name
    closed = " / ".join(f"{percent(share.value)} %" for share in line.closed.values())
    return (
        name, len(line.seeds), *(f"{100 * f[k]:.2f}" for k in ("mean", "worst", "mean_tpr")),
        f"{100 * f['std_ddof0']:.2f}", f"{f['ser']:.2f}", *_two(line.against_baseline),
        closed or "-", f"{f['cpu_s']:.0f}",
    )  # fmt: skip


def _two(found: Differences) -> tuple[str, str]:
    return points(found.get("mean")), points(found.get("worst"))


def percent(share: float) -> str:
    """A share in whole percent; no minus before a zero."""
    return f"{round(100 * share)}"


def points(each: Paired | None) -> str:
    """A difference of rates in points, with its interval if there is one."""
    if each is None:
        return "-"
    text = f"{100 * each.value:+.2f}"
    if math.isnan(each.low):
        return text
    return f"{text} [{100 * each.low:+.2f}, {100 * each.high:+.2f}]"


def aligned(lines: list[tuple[object, ...]]) -> str:
    """Columns in line, the first to the left."""
    rows = [[str(cell) for cell in line] for line in lines]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        ).rstrip()
        for row in rows
    )
