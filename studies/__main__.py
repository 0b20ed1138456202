# SPDX-License-Identifier: MIT
"""``python -m studies [SUITE ...]``: the same command as ``arcface-fair benchmark``."""

import sys

from arcface_fair.cli import main

if __name__ == "__main__":
    sys.exit(main(["benchmark", *sys.argv[1:]]))
