# SPDX-License-Identifier: MIT
"""Traces: what plugins wrote becomes a few figures, and nothing becomes none."""

import json

import numpy as np

from studies.plugin_outputs import traces


def test_folder_without_plugins_leaves_nothing(tmp_path):
    assert traces(tmp_path) == {}


def test_contrast_is_told_by_gap_gate_area_and_sizes(tmp_path):
    (tmp_path / "contrast").mkdir()
    mask = np.zeros((112, 112), bool)
    mask[:56] = True
    np.savez(
        tmp_path / "contrast" / "contrast.npz", map=np.zeros((112, 112), np.float32), mask=mask,
        gap=np.array([0.05, 0.33]), gap_difference=0.28, easy=1, acts=True, doubt=np.nan,
        subset=np.array([0, 1, 1, 255], np.uint8),
    )  # fmt: skip
    found = traces(tmp_path)["contrast"]
    assert found == {"area": 0.5, "gap": [0.05, 0.33], "gap_difference": 0.28, "easy": 1,
                     "acts": True, "doubt": None, "sizes": [1, 2]}  # fmt: skip
    json.dumps(found, allow_nan=False)
