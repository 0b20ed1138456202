# SPDX-License-Identifier: MIT
"""The baseline of `make demo` with partition-contrast erasing (ours, in neither paper).

INV-REG partitions the identities once, without a penalty; contrast_plugin erases where the maps
of its subsets differ.
"""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("demo_arcface.py")))["config"]
config.output = "demo/contrast"
config.plugins = ["invreg_plugin", "contrast_plugin"]
config.invreg = dict(weight=0.0, stages=(3,), objective="rex", images_per_identity=6)
