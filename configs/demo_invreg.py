# SPDX-License-Identifier: MIT
"""The baseline of `make demo` and one plugin: INV-REG with three learned partitions."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("demo_arcface.py")))["config"]
config.output = "demo/invreg"
config.plugins = ["invreg_plugin"]
config.invreg = dict(weight=0.05, stages=(1, 3, 5))
