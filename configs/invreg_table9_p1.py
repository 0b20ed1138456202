# SPDX-License-Identifier: MIT
"""The paper's table 9: 1 partition, ResNet-50."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["stages"] = (1,)  # release's epochs, as many as there are
