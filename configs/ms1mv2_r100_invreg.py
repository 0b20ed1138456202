# SPDX-License-Identifier: MIT
"""INV-REG on MS1MV2 with ResNet-100 and ArcFace."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r100_invreg.py")))["config"]
config.rec = "data/ms1mv2"  # ours
config.num_classes = 85742  # paper (the record's)
config.num_image = 5822653  # paper (the record's)
