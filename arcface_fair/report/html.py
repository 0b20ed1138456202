# SPDX-License-Identifier: MIT
"""Pages from templates, and their pieces: texts escaped, metrics with intervals.

Best and worst are marked in words too, not by colour alone.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from arcface_fair.evaluation.metrics import Metric
from arcface_fair.evaluation.resampling import Estimate


def render(package: str, **parts: Any) -> str:
    """The template ``page.html.j2`` of ``package``, which may include ``style.css``."""
    loaders = [PackageLoader(name) for name in (package, "arcface_fair.report")]
    environment = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined,
        keep_trailing_newline=True,
    )  # fmt: skip
    return environment.get_template("page.html.j2").render(**parts)


def number(metric: Metric, value: float, signed: bool = False) -> str:
    """A value as people read it: shares in percent, others plain, "-" for unknown."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "-\N{INFINITY}"
    shown = metric.shown(value)
    digits = 2 if abs(shown) >= 0.1 or shown == 0 else 3
    return f"{shown:+.{digits}f}" if signed else f"{shown:.{digits}f}"


def cell(metric: Metric, estimate: Estimate, mark: str = "", signed: bool = False) -> str:
    """<td> with the value and its interval below. mark: "best", "worst" or nothing."""
    kind = f' class="{mark}" title="{mark}"' if mark else ""
    text = number(metric, estimate.value, signed)
    if math.isnan(estimate.value):
        return '<td class="none" title="the data cannot say">-</td>'
    if not math.isnan(estimate.low):
        low, high = (number(metric, end, signed) for end in (estimate.low, estimate.high))
        text += f"<small>[{low}, {high}]</small>"
    return f"<td{kind}>{text}</td>"


def table(caption: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table that scrolls sideways by itself; rows are (head, cells of HTML)."""
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>' for name, cells in rows
    )
    return (
        f'<div class="scroll"><table><caption><span>{escape(caption)}</span></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(picture: str, caption: str) -> str:
    """An <svg> with its caption."""
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def photograph(data: bytes, caption: str) -> str:
    """A PNG or JPEG as a data URI with its caption."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    source = base64.b64encode(data).decode()
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/{kind};base64,{source}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def definitions(values: Mapping[str, str]) -> str:
    """A list of names and values."""
    lines = (f"<dt>{escape(k)}</dt><dd><code>{escape(v)}</code></dd>" for k, v in values.items())
    return f"<dl>{''.join(lines)}</dl>"


def warnings_box(warnings: Sequence[str]) -> str:
    """Sentences that must be read."""
    if not warnings:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in warnings)
    return f'<div class="words"><ul>{items}</ul></div>'
