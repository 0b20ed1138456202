# SPDX-License-Identifier: MIT
"""Partition-contrast erasing on BUPT-Balancedface: ours, in neither paper (docs/contrast.md)."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("bupt_balanced_r34.py")))["config"]
config.plugins = ["invreg_plugin", "contrast_plugin"]
# 12 is the first epoch at or after 0.375 of 30, where the map is drawn.
config.invreg = dict(weight=0.0, stages=(12,), objective="rex", images_per_identity=6)
