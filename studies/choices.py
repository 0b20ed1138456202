# SPDX-License-Identifier: MIT
"""What was chosen for partition-contrast erasing: one setting changed at a time.

For validation people; the shipped config is what came out.
"""

from __future__ import annotations

from studies.rows import ARCFACE, CEILING, CONTRAST, CONTRAST_ROWS, Row, contrast

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
