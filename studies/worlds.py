# SPDX-License-Identifier: MIT
"""Draws each population once, however many runs ask for it at the same time."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock

import drawn_faces
from arcface_fair.files import sha256
from drawn_faces import World, draw_image, write_world
from drawn_faces.traits import groups_of
from studies.plan import digest


def drawn(world: World, folder: Path) -> Path:
    """The folder under ``folder`` that holds ``world`` as a record; drawn if it is not there.

    Its name changes with the settings and with the code that draws.
    """
    place = folder / f"{world.split}-{world.seed}-{digest([asdict(world), _code()])}"
    with FileLock(folder / f"{place.name}.lock"):
        if not (place / "world.json").is_file():
            write_world(world, place, test_identities=0, force=True)
    return place


def fingerprint(place: Path) -> str:
    """16 hex digits of the drawn photographs themselves."""
    return sha256(place / "train.rec")[:16]


@cache
def sample(world: World) -> str:
    """16 hex digits of a few photographs of ``world``: how this version draws it.

    Of every group the first two people, two photographs each, whatever the world's seed.
    """
    world = replace(world, seed=0)
    groups = groups_of(world)
    chosen = [i for g in np.unique(groups) for i in np.flatnonzero(groups == g)[:2].tolist()]
    parts = [draw_image(world, person, shot).tobytes() for person in chosen for shot in (0, 1)]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


@cache
def _code() -> str:
    folder = Path(drawn_faces.__file__).parent
    return digest([path.read_text() for path in sorted(folder.glob("*.py"))])
