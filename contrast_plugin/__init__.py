# SPDX-License-Identifier: MIT
"""Partition-contrast erasing: an extension of this project, in neither paper.

A run that lists ``contrast_plugin`` in ``config.plugins`` gets it; docs/contrast.md has the recipe.
INV-REG's partition says which identities take a shortcut, GABN's maps say where a network looks.
Once, at a share of the run: the subset whose images are recognised too easily is found; the
average attention of the two sides is compared; and from then on the pixels where the easy side
looks more than the other are replaced, in the easy side's images only, by those of another image.
A gate keeps it from acting where the two sides are about equally easy.
"""

from __future__ import annotations

from arcface_fair.plugin.parts import Augmentation, Figure, Plugin
from arcface_fair.plugin.session import Session
from contrast_plugin.config import ContrastSettings as Settings
from contrast_plugin.hook import ContrastErasing, old_state

NAME = "contrast"
FIGURE = Figure(
    "contrast/contrast.png",
    "Where the network looks more in the images of the easy subset, and which pixels are replaced.",
)

__all__ = ["NAME", "Settings", "build"]


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of contrast erasing for one run. Raises UserError for a run it cannot act in."""
    erasing = ContrastErasing(settings, session, NAME)
    return Plugin(
        name=NAME,
        hooks=(erasing,),
        augmentations=(Augmentation(NAME, erasing),),
        state=erasing,
        old_state=old_state,
        figures=(FIGURE,),
    )
