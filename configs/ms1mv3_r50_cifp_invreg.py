# SPDX-License-Identifier: MIT
"""INV-REG on MS1MV3 with ResNet-50 and CIFP on top of ArcFace."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.cifp = True  # paper: the rows Ours-CIFP
config.margin_list = (1.0, 0.4, 0.0)  # release: both shipped configs are CIFP rows
