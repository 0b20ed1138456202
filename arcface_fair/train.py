# SPDX-License-Identifier: MIT
"""``torchrun -m arcface_fair.train configs/NAME``: the embedded trainer, on every rank."""

import sys

from arcface_fair.cli import main
from arcface_fair.errors import leave

if __name__ == "__main__":
    leave(main(["train", *sys.argv[1:]]))
