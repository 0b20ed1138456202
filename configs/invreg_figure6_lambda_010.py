# SPDX-License-Identifier: MIT
"""The paper's figure 6: lambda = 0.1, ResNet-50."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["weight"] = 0.1  # paper
