# SPDX-License-Identifier: MIT
"""``python -m arcface_fair`` is the command ``arcface-fair``."""

from arcface_fair.cli import main
from arcface_fair.errors import leave

if __name__ == "__main__":
    leave(main())
