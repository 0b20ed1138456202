# SPDX-License-Identifier: MIT
"""GAM-SFRE's masks, each moved at random: the control with equal area and shape (Table 4).

Not in the paper, whose control is random erasure (bupt_balanced_r34_gabn_random).
"""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34.py")))["config"]
config.plugins = ["gabn_plugin"]
config.gabn = dict(erasing="rolled", adversarial=False, confidence=False)
