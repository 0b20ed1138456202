# SPDX-License-Identifier: MIT
"""Ground truth of a drawn world: where the planted context is, to score maps against.

People, pose, expression, light, sensor noise and the places of stickers are held; the words of
the confounded components alone are drawn anew. Where the picture then changes, the context is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from drawn_faces.camera import SIZE
from drawn_faces.context import Context, draw_context, draw_extra
from drawn_faces.draw import context_of, draw_in_context, sitter
from drawn_faces.world import World

# The inner face, brows to lower lip and cheek to cheek, pixels of the 112 x 112 template.
FACE_CENTRE = (56.0, 70.0)
FACE_RADII = (27.0, 34.0)


def redrawn(world: World, context: Context, gender: int, rng: np.random.Generator) -> Context:
    """The same context with every confounded component drawn afresh; the others stay."""
    fresh = draw_context(rng, gender)
    fresh |= {name: draw_extra(rng, name) for name in world.extra}
    return context | {name: fresh[name] for name in world.confounded}


@lru_cache(maxsize=16)
def context_change(world: World, people: int = 64, seed: int = 0) -> np.ndarray:
    """Mean change of the picture under a new context, float32 [112, 112], grey levels 0..255.

    |difference| of two pictures, averaged over the three channels and over ``people`` per group
    of unseen people (split ``validation``), one photograph each. Every group weighs the same.
    512 drawings, 1 to 2 seconds.
    Read-only, since it is kept. A world that confounds nothing gives zeros. Stickers lie on nine
    of their twelve places in a picture, so their map tells where they may be.
    """
    unseen = world.held_out("validation", people, 1)
    total = np.zeros((SIZE, SIZE), np.float32)
    for identity in range(unseen.identities):
        gender = sitter(unseen, identity).person.gender
        rng = world.rng("context change", seed, identity)
        before = context_of(unseen, identity, 0)
        after = redrawn(unseen, before, gender, rng)
        first, second = (
            draw_in_context(unseen, identity, words, (identity, 0)).astype(np.float32)
            for words in (before, after)
        )
        total += np.abs(first - second).mean(axis=2)
    total /= unseen.identities
    total.setflags(write=False)
    return total


def context_region(world: World, people: int = 64, seed: int = 0) -> np.ndarray:
    """Where the context is, bool [112, 112]: pixels that change more than the average pixel.

    The mean of :func:`context_change` is the threshold, so that no number has to be chosen;
    score a map by its AUC over the pixels with this as the label.
    """
    change = context_change(world, people, seed)
    return change > change.mean()


def outside_face() -> np.ndarray:
    """Everything outside an ellipse about the inner face, bool [112, 112].

    A second label for worlds whose context is hair, band, clothes and background: it needs no
    drawing. For face paint and glasses it is wrong, for stickers half right.
    """
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    across, down = (x - FACE_CENTRE[0]) / FACE_RADII[0], (y - FACE_CENTRE[1]) / FACE_RADII[1]
    return across**2 + down**2 > 1
