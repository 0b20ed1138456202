# SPDX-License-Identifier: MIT
"""Beside the paper's L_inv: the variance alone learns, IRMv1 is the penalty; ResNet-50."""

import runpy
from pathlib import Path

config = runpy.run_path(str(Path(__file__).with_name("ms1mv3_r50_invreg.py")))["config"]
config.invreg["objective"] = "rex"  # ours: the variance alone, without the mean
config.invreg["penalty"] = "irmv1"  # paper, section 5.4
