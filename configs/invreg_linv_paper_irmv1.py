# SPDX-License-Identifier: MIT
"""The paper's choice of L_inv: REx learns the partitions, IRMv1 is the penalty; ResNet-50."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["objective"] = "paper"  # eq. (4) with REx: mean + 0.2 variance
config.invreg["penalty"] = "irmv1"  # paper, section 5.4
