# SPDX-License-Identifier: MIT
"""The rows of the benchmark: a shipped config, what changes in it, and the world it sees.

A row's name is its name everywhere and means one thing: two suites that list a name list the same
row, and its runs are made once. `suites` gathers the tables, ``sweeps`` holds the papers' own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CONTROL = ":control"  # behind a world's name: the same people with nothing planted


@dataclass(frozen=True)
class Row:
    """One row of a table; its runs differ in the seed only.

    name: letters, digits, underscores. title: what the page calls it.
    config: a shipped config. changes: keys over it; blocks (dicts) are merged key by key, at any
    depth.
    world: a name of ``WORLDS``, or such a name with ":control" behind it.
    control_of: the row for which this one is a control, which a gain has to beat.
    baseline, ceiling: rows that give the gap which this row may close.
    """

    name: str
    title: str
    config: str = "demo_arcface"
    changes: Mapping[str, Any] = field(default_factory=dict)
    world: str = "confounded"
    control_of: str | None = None
    note: str = ""
    baseline: str = "arcface"
    ceiling: str = "ceiling"


INVREG = "demo_invreg"

CONTRAST = "demo_contrast"


def contrast(invreg: Mapping[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    """What a contrast run changes: INV-REG's block, and ``settings`` of ``contrast``."""
    changes: dict[str, Any] = {"invreg": dict(invreg)} if invreg else {}
    return {**changes, "contrast": settings} if settings else changes


SHUFFLED: dict[str, Any] = {"partition": "shuffled"}
ROLLED: dict[str, Any] = {"control": "rolled"}

# A classifier of maps that a CPU can train (docs/gabn.md measures it).
SMALL_CLASSIFIER = {"classifier_width": 16, "map_side": 56, "classifier_lr": 0.02}


def gabn(**settings: Any) -> dict[str, Any]:
    """The changes of a GABN run in which only what ``settings`` turn on acts."""
    alone = {"erasing": "off", "confidence": False, "adversarial": False}
    return {"plugins": ["gabn_plugin"], "gabn": {**SMALL_CLASSIFIER, **alone, **settings}}


ARCFACE = Row("arcface", "ArcFace")
CEILING = Row(
    "ceiling",
    "ArcFace, nothing planted",
    world="confounded" + CONTROL,
    note="the same people with their context redrawn: what could be reached",
)

INVREG_ROWS = (
    Row("invreg", "INV-REG", INVREG, note="as the paper prints it"),
    Row(
        "invreg_random", "INV-REG, random partitions", INVREG, {"invreg": {"partition": "random"}},
        control_of="invreg",
    ),
    Row(
        "invreg_shuffled", "INV-REG, shuffled partitions", INVREG, {"invreg": SHUFFLED},
        control_of="invreg", note="the learned partition, its members permuted",
    ),
    Row(
        "invreg_truth", "INV-REG, true groups", INVREG, {"invreg": {"partition": "table"}},
        note="the group table instead of learning",
    ),
    Row(
        "invreg_rex", "INV-REG, REx in both steps", INVREG,
        {"invreg": {"objective": "rex", "penalty": "rex"}},
    ),
)  # fmt: skip

CIFP_ROWS = (
    Row("cifp", "CIFP", changes={"cifp": True}),
    Row("cifp_invreg", "CIFP + INV-REG", INVREG, {"cifp": True}),
)

CONTRAST_ROWS = (
    Row(
        "contrast", "partition-contrast erasing", CONTRAST,
        note="an extension of ours, not either paper's algorithm",
    ),
    Row(
        "contrast_rolled", "the same masks, rolled", CONTRAST, contrast(**ROLLED),
        control_of="contrast", note="equal area and shape, another place in every image",
    ),
    Row(
        "contrast_shuffled", "shuffled partition, no gate", CONTRAST,
        contrast(SHUFFLED, gate=0.0),
        control_of="contrast", note="same sizes; the gate would close on it",
    ),
    Row(
        "contrast_shuffled_gated", "shuffled partition, gate on", CONTRAST, contrast(SHUFFLED),
        control_of="contrast", note="the gate closes: ArcFace",
    ),
)  # fmt: skip

NOTHING: dict[str, Any] = {
    "world": "confounded" + CONTROL,
    "baseline": "none_arcface",
    "ceiling": "none_arcface",
}
NONE_ROWS = (
    Row("none_arcface", "nothing planted: ArcFace", **NOTHING),
    Row("none_contrast", "nothing planted: contrast, gate on", CONTRAST, **NOTHING),
    Row(
        "none_contrast_ungated", "nothing planted: contrast, no gate", CONTRAST,
        contrast(gate=0.0), note="what the gate keeps from happening", **NOTHING,
    ),
)  # fmt: skip


def world_rows(world: str) -> tuple[Row, ...]:
    """ArcFace, its ceiling, contrast and its controls in the named world."""
    if world == "confounded":
        return (ARCFACE, CEILING, *CONTRAST_ROWS[:3])
    own: dict[str, Any] = {"baseline": f"{world}_arcface", "ceiling": f"{world}_ceiling"}
    here: dict[str, Any] = {"world": world, **own}
    method = f"{world}_contrast"
    return (
        Row(f"{world}_arcface", f"{world}: ArcFace", **here),
        Row(f"{world}_ceiling", f"{world}: nothing planted", world=world + CONTROL, **own),
        Row(method, f"{world}: contrast", CONTRAST, **here),
        Row(
            f"{world}_contrast_rolled", f"{world}: contrast, rolled masks", CONTRAST,
            contrast(**ROLLED), control_of=method, **here,
        ),
        Row(
            f"{world}_contrast_shuffled", f"{world}: contrast, shuffled partition, no gate",
            CONTRAST, contrast(SHUFFLED, gate=0.0), control_of=method, **here,
        ),
    )  # fmt: skip


MAIN = (ARCFACE, CEILING, *INVREG_ROWS, *CIFP_ROWS, *CONTRAST_ROWS, *NONE_ROWS)
QUICK = ("arcface", "ceiling", "contrast", "contrast_rolled")
