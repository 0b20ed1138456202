# SPDX-License-Identifier: MIT
"""Random erasure alone, the control of GAM-SFRE (Table 4)."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34.py")))["config"]
config.plugins = ["gabn_plugin"]
config.gabn = dict(erasing="random", adversarial=False, confidence=False)
