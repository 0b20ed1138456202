# SPDX-License-Identifier: MIT
"""GAM-CT alone: L_adv through the attention maps (Table 4)."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34.py")))["config"]
config.plugins = ["gabn_plugin"]
config.gabn = dict(erasing="off", adversarial=True, confidence=False)
