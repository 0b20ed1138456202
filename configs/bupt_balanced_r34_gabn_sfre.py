# SPDX-License-Identifier: MIT
"""GAM-SFRE alone: the most sensitive regions are erased (Table 4)."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34.py")))["config"]
config.plugins = ["gabn_plugin"]
config.gabn = dict(erasing="attention", adversarial=False, confidence=False)
