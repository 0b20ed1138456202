# SPDX-License-Identifier: MIT
"""Measures what the methods are worth: ``arcface-fair benchmark``, from a checkout.

python benchmarks/fairness.py --quick              # two seeds of the rows that matter most
python benchmarks/fairness.py main --split test    # the main table, five seeds
python benchmarks/fairness.py --list               # everything there is, and what it costs
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from arcface_fair.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
