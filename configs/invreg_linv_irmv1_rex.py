# SPDX-License-Identifier: MIT
"""The paper's choice of L_inv: irmv1 learns the partitions, rex is the penalty; ResNet-50."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["objective"] = "irmv1"  # ours: the objective alone, without the mean
config.invreg["penalty"] = "rex"  # paper, section 5.4
