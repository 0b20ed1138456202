# SPDX-License-Identifier: MIT
"""ArcFace on MS1MV3 with ResNet-50: the baseline of INV-REG's ablations."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.plugins = []
config.pop("invreg")
