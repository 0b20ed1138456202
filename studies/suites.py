# SPDX-License-Identifier: MIT
"""The tables by name: the methods, harder worlds, and those that vary one setting at a time.

GABN: ``table3`` (threshold), ``table4`` (parts). INV-REG: ``table8`` (K), ``table9`` (number of
partitions), ``figure6`` (lambda), ``linv`` (IRMv1 or REx in either step). ``leads``: what was left
to try. A row's note tells where a value is not the paper's; docs/papers.md has the command of every
row of a paper's table on the papers' data.

GABN's maps must be readable, so its rows and their baseline run on ``small_aa``; those of ``small``
are a lattice. They differ from the paper in what a CPU needs: a narrow classifier of maps
(`SMALL_CLASSIFIER`), and L_adv at the weight that was seen to change maps (docs/gabn.md). INV-REG's
rows differ in the stages, epochs 1, 3 and 5 of 8 for 1, 11 and 17 of 21. Lambda is the printed
number; the penalty grows with the square of the scale s, so at s = 32 it weighs a quarter of what
it does at 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from drawn_faces import WORLDS
from studies.rows import (
    ARCFACE,
    CEILING,
    CONTRAST,
    CONTRAST_ROWS,
    CONTROL,
    INVREG,
    INVREG_ROWS,
    MAIN,
    SHUFFLED,
    Row,
    contrast,
    gabn,
    world_rows,
)

NETWORK = "small_aa"
ADVERSARIAL = {"adversarial": True, "weight": 0.3}
OWN = {"baseline": "aa_arcface", "ceiling": "aa_ceiling"}
PAPER = "the paper's value"


def on_aa(name: str, title: str, changes: Mapping[str, Any], **more: Any) -> Row:
    """A row on the network whose maps are readable, against ArcFace on the same network."""
    return Row(name, title, changes={"network": NETWORK, **changes}, **OWN, **more)


def invreg(name: str, title: str, note: str = "", **settings: Any) -> Row:
    """A row of INV-REG with the paper's settings but for ``settings``."""
    return Row(name, title, INVREG, {"invreg": settings}, note=note)


AA_ROWS = (
    on_aa("aa_arcface", "ArcFace, small_aa", {}),
    on_aa("aa_ceiling", "ArcFace, small_aa, nothing planted", {}, world="confounded" + CONTROL),
)
CONFIDENCE = {
    percent: on_aa(
        f"table3_confidence{percent}",
        f"GABN: confidence balance, threshold 0.{percent}",
        gabn(confidence=True, threshold=percent / 100),
        note=PAPER if percent == 70 else "",
    )
    for percent in (60, 70, 75, 80)
}
SFRE = on_aa("table4_sfre", "GAM-SFRE", gabn(erasing="attention"))
TABLE_4 = (
    *AA_ROWS,
    on_aa(
        "table4_random", "+ random erase", gabn(erasing="random"),
        control_of="table4_sfre", note="the paper's control",
    ),
    CONFIDENCE[70],
    on_aa("table4_ct", "GAM-CT", gabn(**ADVERSARIAL)),
    SFRE,
    on_aa(
        "table4_rolled", "SFRE's masks, rolled", gabn(erasing="rolled"),
        control_of="table4_sfre", note="equal area and shape, another place; not in the paper",
    ),
    on_aa(
        "table4_gabn", "GABN", gabn(erasing="attention", confidence=True, **ADVERSARIAL),
        note="all parts; eq. (8) read as a term, as printed it does not train",
    ),
)  # fmt: skip

# INV-REG's rows that the main table has too; they are run once.
_MAIN = {row.name: row for row in INVREG_ROWS}
PLAIN = (ARCFACE, CEILING)
PAPER_INVREG, CONTROL_INVREG = _MAIN["invreg"], _MAIN["invreg_shuffled"]  # K 2, 3 of them, 0.05

TABLE_8 = (
    *PLAIN,
    PAPER_INVREG,
    invreg("table8_k3", "INV-REG, K = 3", subsets=3),
    invreg("table8_k4", "INV-REG, K = 4", subsets=4),
    CONTROL_INVREG,
)
TABLE_9 = (
    *PLAIN,
    invreg("table9_p1", "INV-REG, 1 partition", stages=[1]),
    invreg("table9_p2", "INV-REG, 2 partitions", stages=[1, 3]),
    PAPER_INVREG,
    invreg(
        "table9_p4", "INV-REG, 4 partitions",
        "when the fourth comes is ours, the paper does not say", stages=[1, 2, 3, 5],
    ),
    CONTROL_INVREG,
)  # fmt: skip
FIGURE_6 = (
    *PLAIN,
    invreg("figure6_lambda_002", "INV-REG, lambda 0.02", weight=0.02),
    PAPER_INVREG,
    invreg("figure6_lambda_010", "INV-REG, lambda 0.1", weight=0.1),
    invreg(
        "figure6_lambda_020", "INV-REG, lambda 0.2",
        "at s = 32 what 0.05 is at s = 64, by the square of s", weight=0.2,
    ),
    invreg(
        "figure6_lambda_080", "INV-REG, lambda 0.8",
        "not in the paper: at s = 32 what its largest, 0.2, is at s = 64", weight=0.8,
    ),
    CONTROL_INVREG,
)  # fmt: skip
LINV = (
    *PLAIN,
    PAPER_INVREG,
    invreg("linv_paper_rex", "learning mean + REx, penalty REx", penalty="rex"),
    invreg("linv_rex_irmv1", "learning REx alone, penalty IRMv1", objective="rex"),
    _MAIN["invreg_rex"],
    invreg("linv_irmv1_irmv1", "learning mean + IRMv1, penalty IRMv1", objective="irmv1"),
    invreg(
        "linv_irmv1_rex", "learning mean + IRMv1, penalty REx", objective="irmv1", penalty="rex"
    ),
    CONTROL_INVREG,
)


def lead(name: str, title: str, module: str, block: Mapping[str, Any], **learning: Any) -> Row:
    """A plugin of ``benchmarks/leads``, beside partitions without a penalty if ``learning``."""
    plugins = [f"studies.leads.{module}"]
    changes: dict[str, Any] = {module: block}
    if learning:
        plugins.insert(0, "invreg_plugin")
        changes["invreg"] = {"weight": 0.0, "objective": "rex", **learning}
    of = name.replace("shuffled", "learned") if name.endswith("shuffled") else None
    return Row(name, title, changes={"plugins": plugins, **changes}, control_of=of)


ONCE, THRICE = {"stages": [3]}, {"stages": [1, 3, 5]}
SESSION, TABLE = {"groups": "session"}, {"groups": "table"}
REX_SESSION, REX_TABLE = ({"weight": 0.05, **groups} for groups in (SESSION, TABLE))
LEADS = (
    *PLAIN,
    lead("lead_dro_groups", "group-DRO, true groups", "group_dro", TABLE),
    lead("lead_dro_learned", "group-DRO, learned partition", "group_dro", SESSION, **ONCE),
    lead(
        "lead_dro_shuffled", "group-DRO, shuffled partition", "group_dro", SESSION,
        **ONCE, **SHUFFLED,
    ),
    lead("lead_rex_groups", "margin-free REx, true groups", "margin_free_rex", REX_TABLE),
    lead("lead_rex_learned", "margin-free REx, learned", "margin_free_rex", REX_SESSION, **THRICE),
    lead(
        "lead_rex_shuffled", "margin-free REx, shuffled", "margin_free_rex", REX_SESSION,
        **THRICE, **SHUFFLED,
    ),
    *AA_ROWS,
    SFRE,
    on_aa(
        "lead_adversarial_sfre", "SFRE + L_adv", gabn(erasing="attention", **ADVERSARIAL),
        note="beside SFRE alone and L_adv alone",
    ),
    on_aa(
        "lead_margin_sfre", "SFRE, maps with margin", gabn(erasing="attention", gam_margin=True),
        note="maps as the paper prints them",
    ),
    on_aa(
        "lead_margin_adversarial", "L_adv, maps with margin", gabn(gam_margin=True, **ADVERSARIAL),
        note="maps as the paper prints them",
    ),
    on_aa(
        "lead_mean_maps", "L_adv on the groups' average maps",
        {**gabn(**ADVERSARIAL), "plugins": ["studies.leads.group_mean_maps"]},
    ),
)  # fmt: skip

SWEEPS: dict[str, tuple[Row, ...]] = {
    "table3": (*AA_ROWS, *CONFIDENCE.values()),
    "table4": TABLE_4,
    "table8": TABLE_8,
    "table9": TABLE_9,
    "figure6": FIGURE_6,
    "linv": LINV,
    "leads": LEADS,
}


CHOICES = (
    ARCFACE,
    CEILING,
    CONTRAST_ROWS[0],
    Row(
        "contrast_sensitivity", "map: GABN's sensitivity alone", CONTRAST,
        contrast(measure="sensitivity"),
        note="without the distance from the average image",
    ),
    Row(
        "contrast_reference", "filled from the other subset", CONTRAST, contrast(fill="reference"),
    ),
    Row("contrast_grey", "filled with grey", CONTRAST, contrast(fill="grey")),
    Row(
        "contrast_early", "an epoch earlier", CONTRAST,
        contrast({"stages": [2]}, start=0.25),
    ),
    Row(
        "contrast_late", "an epoch later", CONTRAST,
        contrast({"stages": [4]}, start=0.5),
    ),
    Row(
        "contrast_objective", "partition by the paper's objective", CONTRAST,
        contrast({"objective": "paper"}, gate=0.1),
    ),
    Row(
        "contrast_truth", "partition: the true groups", CONTRAST,
        contrast(partition="table"),
        note="labels; four subsets, the easiest against the mean of the others",
    ),
)  # fmt: skip


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
