# SPDX-License-Identifier: MIT
"""Partition-contrast erasing on MS1MV3 with ResNet-100: ours, in neither paper.

INV-REG partitions the identities once and without a penalty. Measured on drawn faces only
(`arcface-fair benchmark`); on this record it is a proposal to be judged by its own controls.
"""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r100_invreg.py")))["config"]
config.plugins = ["invreg_plugin", "contrast_plugin"]
# 8 is the first epoch at or after 0.375 of 21, where the map is drawn.
config.invreg = dict(weight=0.0, stages=(8,), objective="rex", images_per_identity=6)
