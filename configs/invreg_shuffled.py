# SPDX-License-Identifier: MIT
"""Control of INV-REG's tables: learned partitions with their members permuted, ResNet-50.

Ours, not in the paper: what such a run gains over ArcFace is no effect of what was learned.
"""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["partition"] = "shuffled"  # ours
