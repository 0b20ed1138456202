# SPDX-License-Identifier: MIT
"""INV-REG's learned partitions and GABN in one run on BUPT-Balancedface."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34_gabn.py")))["config"]
config.plugins = ["invreg_plugin", "gabn_plugin"]
config.invreg = dict(weight=0.05, stages=(1, 11, 17))
