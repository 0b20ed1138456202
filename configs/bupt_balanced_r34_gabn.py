# SPDX-License-Identifier: MIT
"""GABN whole on BUPT-Balancedface: erasure, confidence balance, L_adv (Table 2; docs/gabn.md)."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34.py")))["config"]
config.plugins = ["gabn_plugin"]
config.gabn = dict(objective="term", weight=0.1, start=0.25)
