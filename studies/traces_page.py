# SPDX-License-Identifier: MIT
"""What plugins and the diagnosis wrote: every number by row, its mean and range over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from arcface_fair.report.cells import table
from studies.summary import Line

# Of what a partition follows, these columns are enough for a table; the JSON holds all.
SHOWN = ("race", "gender", "context")


def traces_table(lines: Sequence[Line]) -> str:
    """An HTML table of the rows that left something; empty where none did."""
    found = {line.title: numbers(line) for line in lines}
    found = {title: known for title, known in found.items() if known}
    if not found:
        return ""
    rows = [
        (f"{title}: {name}", [_cell(values), f"<td>{len(values)}</td>"])
        for title, known in found.items()
        for name, values in known.items()
    ]
    return table("Mean over seeds, and the range", ["row: figure", "value", "seeds"], rows)


def numbers(line: Line) -> dict[str, list[float]]:
    """Every number of the line's facts by its path, over seeds."""
    found: dict[str, list[float]] = {}
    for told in line.facts.values():
        for path, value in _flat(told):
            found.setdefault(path, []).append(value)
    return found


def _flat(told: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(told, dict):
        for name, value in told.items():
            if path.endswith("follows") and name not in SHOWN:
                continue
            yield from _flat(value, f"{path} {name}".strip())
    elif isinstance(told, list):
        if len(told) <= 8:
            for place, value in enumerate(told):
                yield from _flat(value, f"{path}[{place}]")
    elif isinstance(told, bool | int | float):
        yield path, float(told)


def _cell(values: list[float]) -> str:
    mean = sum(values) / len(values)
    text = f"{mean:.3g}"
    if max(values) > min(values):
        text += f"<small>{min(values):.3g} .. {max(values):.3g}</small>"
    return f"<td>{text}</td>"
