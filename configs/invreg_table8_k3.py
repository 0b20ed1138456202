# SPDX-License-Identifier: MIT
"""The paper's table 8: 3 subsets in each partition, ResNet-50."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["subsets"] = 3  # paper
