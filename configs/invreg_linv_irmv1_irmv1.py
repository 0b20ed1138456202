# SPDX-License-Identifier: MIT
"""The paper's ablation of L_inv: IRMv1 learns the partitions, IRMv1 is the penalty; ResNet-50."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["objective"] = "irmv1"  # eq. (4) with IRMv1: mean + 0.2 squared slope
config.invreg["penalty"] = "irmv1"  # paper, section 5.4
