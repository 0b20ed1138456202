# SPDX-License-Identifier: MIT
"""What a line of a table says, in plain words, good or bad."""

from __future__ import annotations

from collections.abc import Mapping

from studies.statistics import Paired
from studies.summary import Line, Table

FIGURES = {"mean": "the mean", "worst": "the worst group"}


def verdicts(line: Line) -> list[str]:
    """Sentences about a row; empty for a baseline and for one seed only."""
    if not line.against_baseline or len(line.seeds) < 2:
        return []
    said = [_against_baseline(line)]
    said += [text for name in line.controls if (text := _against_control(line, name))]
    spread, mean = line.against_baseline["std_ddof0"], line.against_baseline["mean"]
    if spread.value < 0 and mean.below:
        said.append("the mean fell while the spread shrank: levelling down")
    elif spread.below and not mean.above:
        said.append("the spread shrank, but the mean did not rise")
    return said


def remarks(table: Table) -> list[str]:
    """What must be said about a table before it is read."""
    said = list(table.remarks)
    if table.seeds and len(table.seeds) < 5:
        said.append(
            f"{len(table.seeds)} seed{'s' if len(table.seeds) > 1 else ''} only: a hint, "
            "no finding; five are asked for"
        )
    counts = {len(line.seeds) for line in table.lines}
    if len(counts) > 1:
        few = [line.name for line in table.lines if len(line.seeds) < max(counts)]
        said.append(f"not all seeds are there yet for {', '.join(few)}")
    return said


def _against_baseline(line: Line) -> str:
    found = {name: line.against_baseline[name] for name in FIGURES}
    return _compared(found, f"than {line.baseline}")


def _against_control(line: Line, control: str) -> str:
    found = line.controls[control]
    if not found:
        return ""
    chosen = {name: found[name] for name in FIGURES}
    if all(each.above for each in chosen.values()):
        return f"above its control {control}, mean and worst group"
    if any(each.below for each in chosen.values()):
        return f"below its own control {control}"
    return f"not told apart from its control {control}"


def _compared(found: Mapping[str, Paired], than: str) -> str:
    parts: dict[str, list[str]] = {"higher": [], "lower": [], "not told apart": []}
    for name, each in found.items():
        kind = "higher" if each.above else "lower" if each.below else "not told apart"
        parts[kind].append(FIGURES[name])
    texts = [
        f"{' and '.join(parts[kind])} {kind} {than}" for kind in ("higher", "lower") if parts[kind]
    ]
    if parts["not told apart"]:
        ending = than.replace("than ", "from ")
        texts.append(f"{' and '.join(parts['not told apart'])} not told apart {ending}")
    return "; ".join(texts)
