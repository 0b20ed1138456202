# SPDX-License-Identifier: MIT
"""INV-REG on MS1MV2 with ResNet-50 and ArcFace."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv2_r100_invreg.py")))["config"]
config.network = "r50"  # paper
