# SPDX-License-Identifier: MIT
"""What a person wears and stands in front of: words per component, the identity's or afresh.

The vocabulary is the same for every group; only hair styles lean on gender, with no style
reserved. So the groups differ in how constant the context is and in nothing else.
"""

from __future__ import annotations

import numpy as np

from drawn_faces.makeup import MAKEUP, MAKEUP_SHARE
from drawn_faces.stickers import STICKERS, STICKERS_SHARE
from drawn_faces.world import COMPONENTS, World

Colour = tuple[int, int, int]

HAIR_STYLES = ("shaved", "short", "parted", "curls", "bun", "bob", "long", "wavy")
HAIR_STYLE_SHARES = (
    (0.02, 0.10, 0.10, 0.16, 0.14, 0.16, 0.17, 0.15),  # female
    (0.18, 0.26, 0.22, 0.16, 0.03, 0.05, 0.05, 0.05),  # male
)
HAIR_COLOURS: dict[str, Colour] = {
    "black": (32, 28, 30),
    "umber": (66, 44, 34),
    "chestnut": (112, 70, 44),
    "copper": (168, 84, 44),
    "blond": (214, 176, 106),
    "silver": (176, 178, 182),
    "plum": (112, 62, 100),
    "teal": (60, 112, 120),
}
HAIR_COLOUR_SHARES = (0.15, 0.15, 0.15, 0.13, 0.13, 0.13, 0.08, 0.08)
FRINGES = ("none", "straight", "left", "right", "curtain")
BAND_COLOURS: dict[str, Colour] = {
    "red": (198, 44, 48),
    "blue": (44, 84, 190),
    "green": (40, 144, 84),
    "yellow": (238, 198, 50),
    "white": (240, 238, 232),
    "violet": (134, 74, 168),
}
BANDS = ("none", *(f"{edge}_{main}" for main in BAND_COLOURS for edge in ("plain", "edged")))
BAND_SHARE = 0.4
FRAMES = ("round", "square", "half")
FRAME_COLOURS: dict[str, Colour] = {
    "black": (26, 26, 30),
    "red": (176, 36, 46),
    "blue": (36, 70, 160),
    "brown": (110, 66, 34),
    "gold": (206, 166, 74),
    "white": (232, 232, 228),
}
GLASSES = ("none", *(f"{shape}_{colour}" for shape in FRAMES for colour in FRAME_COLOURS))
GLASSES_SHARE = 0.45
WALLS: dict[str, Colour] = {
    "sky": (132, 180, 220),
    "sand": (222, 202, 164),
    "leaf": (98, 150, 92),
    "brick": (172, 98, 78),
    "slate": (92, 102, 118),
    "cream": (236, 230, 214),
    "rose": (216, 160, 170),
    "navy": (46, 58, 98),
}
PATTERNS = ("plain", "stripes", "horizon", "window", "dots", "diagonal")
BACKGROUNDS = tuple(f"{pattern}_{wall}" for pattern in PATTERNS for wall in WALLS)
CLOTHES_COLOURS: dict[str, Colour] = {
    "white": (238, 238, 236),
    "black": (38, 38, 44),
    "red": (186, 52, 56),
    "blue": (58, 96, 172),
    "green": (66, 128, 88),
    "mustard": (210, 164, 60),
    "grey": (138, 142, 148),
    "purple": (112, 78, 146),
}
COLLARS = ("round", "vee", "high")
CLOTHES = tuple(f"{collar}_{colour}" for collar in COLLARS for colour in CLOTHES_COLOURS)
# Components of World.extra: words, the first of them "none", and how often it is another.
EXTRA_WORDS = {"makeup": (MAKEUP, MAKEUP_SHARE), "stickers": (STICKERS, STICKERS_SHARE)}

Context = dict[str, str]


def _with_none(rng: np.random.Generator, words: tuple[str, ...], share: float) -> str:
    return words[0] if rng.uniform() > share else words[1 + int(rng.integers(len(words) - 1))]


def draw_context(rng: np.random.Generator, gender: int) -> Context:
    """One word for every component, independent of the group."""
    return {
        "hair_style": HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=HAIR_STYLE_SHARES[gender]))],
        "hair_colour": list(HAIR_COLOURS)[int(rng.choice(8, p=HAIR_COLOUR_SHARES))],
        "fringe": FRINGES[int(rng.integers(len(FRINGES)))],
        "head_band": _with_none(rng, BANDS, BAND_SHARE),
        "glasses": _with_none(rng, GLASSES, GLASSES_SHARE),
        "background": BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))],
        "clothes": CLOTHES[int(rng.integers(len(CLOTHES)))],
    }


def draw_extra(rng: np.random.Generator, name: str) -> str:
    """A word for one component of ``World.extra``, independent of group and gender."""
    return _with_none(rng, *EXTRA_WORDS[name])


def own_context(world: World, identity: int, gender: int) -> Context:
    """The values that follow the identity wherever ``context_keep`` says so."""
    own = draw_context(world.rng("own context", identity), gender)
    return own | {x: draw_extra(world.rng(f"own {x}", identity), x) for x in world.extra}


def shot_context(
    world: World, identity: int, shot: int, own: Context, keep: np.ndarray, gender: int
) -> Context:
    """The context of one image; ``keep`` [components] holds the probabilities of ``own``.

    The fresh values and the throws do not depend on ``keep``, so a control world changes
    exactly the components that the confounder held fast.
    """
    rng = world.rng("shot context", identity, shot)
    fresh = draw_context(rng, gender)
    kept = list(rng.uniform(size=len(COMPONENTS)) < keep[: len(COMPONENTS)])
    for name, share in zip(world.extra, keep[len(COMPONENTS) :], strict=True):
        # A stream of its own, so that the other components do not notice.
        rng = world.rng(f"shot {name}", identity, shot)
        fresh[name] = draw_extra(rng, name)
        kept.append(rng.uniform() < share)
    return {c: own[c] if k else fresh[c] for c, k in zip(world.components, kept, strict=True)}
