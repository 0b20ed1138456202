# SPDX-License-Identifier: MIT
"""``python -m arcface_fair`` is the command ``arcface-fair``."""

from arcface_fair.cli import leave, main

if __name__ == "__main__":
    leave(main())
