# SPDX-License-Identifier: MIT
"""``python -m arcface_fair`` is the command ``arcface-fair``."""

import sys

from arcface_fair.cli import main

if __name__ == "__main__":
    sys.exit(main())
