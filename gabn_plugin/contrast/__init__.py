# SPDX-License-Identifier: MIT
"""Partition-contrast erasing: an extension of this project, in neither paper.

INV-REG's partition says which identities take a shortcut, GABN's maps say where a network looks.
Once, at a share of the run: the subset whose images are recognised too easily is found; the
average attention of the two sides is compared; and from then on the pixels where the easy side
looks more than the other are replaced, in the easy side's images only, by those of another image.
A gate keeps it from acting where the two sides are about equally easy.
"""

from __future__ import annotations

from gabn_plugin.contrast.hook import ContrastErasing
from gabn_plugin.contrast.settings import ContrastSettings

__all__ = ["ContrastErasing", "ContrastSettings"]
