# SPDX-License-Identifier: MIT
"""One picture as SVG text: differences of rows to their baseline, a dot per seed, an interval.

Nothing but text is needed to draw it, so a page can be made wherever results can be read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from studies.statistics import Paired
from studies.summary import Line

PANELS = {"mean": "mean accuracy", "worst": "worst group"}
LABELS, PANEL, GAP, ROW, TOP, BOTTOM = 250, 225, 34, 24, 30, 46  # pixels
INK, SOFT, METHOD, CONTROL, CEILING = "#1b1b1f", "#c9ccd2", "#0072b2", "#d55e00", "#009e73"


def differences(lines: Sequence[Line], ceiling: str = "") -> str:
    """<svg> of mean and worst-group accuracy minus the baseline's, in points, row by row.

    Controls are orange, the ceiling green, everything else blue. Empty where nothing is paired.
    """
    shown = [line for line in lines if line.against_baseline]
    if not shown:
        return ""
    width = LABELS + len(PANELS) * (PANEL + GAP)
    height = TOP + ROW * len(shown) + BOTTOM
    parts = [_labels(shown, ceiling)]
    for place, (figure, title) in enumerate(PANELS.items()):
        left = LABELS + place * (PANEL + GAP)
        found = [line.against_baseline[figure] for line in shown]
        parts.append(_panel(found, [_colour(line, ceiling) for line in shown], left, title))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Differences to the baseline" font-family="sans-serif" font-size="12" '
        f'fill="{INK}">{"".join(parts)}</svg>'
    )


def _colour(line: Line, ceiling: str) -> str:
    if line.name == ceiling:
        return CEILING
    return CONTROL if line.control_of else METHOD


def _labels(shown: Sequence[Line], ceiling: str) -> str:
    return "".join(
        f'<text x="{LABELS - 10}" y="{_y(at) + 4:.0f}" text-anchor="end" '
        f'fill="{_colour(line, ceiling)}">{escape(_short(line.title))}</text>'
        for at, line in enumerate(shown)
    )


def _short(text: str, most: int = 38) -> str:
    return text if len(text) <= most else f"{text[: most - 3].rstrip()}..."


def _panel(found: Sequence[Paired], colours: Sequence[str], left: float, title: str) -> str:
    low, high, step = _range(found)

    def x(points: float) -> float:
        return left + PANEL * (points - low) / (high - low)

    bottom = TOP + ROW * len(found)
    parts = [f'<text x="{left}" y="16" font-weight="600">{title}</text>']
    tick = low
    while tick <= high + 1e-9:
        stroke = INK if abs(tick) < 1e-9 else SOFT
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 4}" y2="{bottom}" '
            f'stroke="{stroke}" stroke-width="{1 if stroke == INK else 0.6}"/>'
            f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{_tick(tick)}</text>'
        )
        tick += step
    parts.append(
        f'<text x="{left + PANEL / 2}" y="{bottom + 34}" text-anchor="middle">points</text>'
    )
    for at, (each, colour) in enumerate(zip(found, colours, strict=True)):
        parts.append(_mark(each, colour, _y(at), x))
    return "".join(parts)


def _mark(each: Paired, colour: str, y: float, x: object) -> str:
    assert callable(x)
    dots = "".join(
        f'<circle cx="{x(100 * value):.1f}" cy="{y + 6:.1f}" r="2" fill="{colour}" '
        f'fill-opacity="0.55"><title>seed {seed}: {100 * value:+.2f}</title></circle>'
        for seed, value in each.by_seed.items()
    )
    bar = ""
    if not math.isnan(each.low):
        ends = x(100 * each.low), x(100 * each.high)
        bar = (
            f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y - 1:.1f}" y2="{y - 1:.1f}" '
            f'stroke="{colour}" stroke-width="2.4"/>'
        )
    return (
        f'{bar}<circle cx="{x(100 * each.value):.1f}" cy="{y - 1:.1f}" r="4" fill="{colour}">'
        f"<title>{100 * each.value:+.2f}</title></circle>{dots}"
    )


def _tick(points: float) -> str:
    return f"{points:+g}" if abs(points) > 1e-9 else "0"


def _y(place: int) -> float:
    return TOP + ROW * (place + 0.5)


def _range(found: Sequence[Paired]) -> tuple[float, float, float]:
    """Ends and step of an axis in points that holds 0 and everything shown."""
    values = [0.0]
    for each in found:
        values += [100 * v for v in (each.value, each.low, each.high, *each.by_seed.values())]
    values = [value for value in values if math.isfinite(value)]
    spread = max(max(values) - min(values), 1.0)
    step = next(
        size for power in range(9) for base in (1, 2, 5)
        if spread / (size := base * 10.0 ** (power - 1)) <= 6
    )  # fmt: skip
    low, high = math.floor(min(values) / step), math.ceil(max(values) / step)
    return low * step, max(high, low + 1) * step, step
