# SPDX-License-Identifier: MIT
"""Confidence balance alone with threshold 0.80 (Table 3)."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34.py")))["config"]
config.plugins = ["gabn_plugin"]
config.gabn = dict(erasing="off", adversarial=False, confidence=True, threshold=0.80)
