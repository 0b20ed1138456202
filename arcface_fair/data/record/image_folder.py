# SPDX-License-Identifier: MIT
"""A folder of images, one sub-folder per identity, as faces by position."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arcface_fair.data.image.images import decode_face
from arcface_fair.data.training.faces import FaceDataset
from arcface_fair.errors import UserError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})


class ImageFolder(FaceDataset):
    """Sub-folders in the order of their names are classes 0, 1, ...; images by name within.

    class_names: the sub-folders' names.  Hidden files and files that are no images are left out.
    Raises UserError if there is no sub-folder or one holds no image.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        people = sorted(
            child
            for child in self.folder.iterdir()
            if child.is_dir() and not child.name.startswith(".")
        )
        if not people:
            raise UserError(
                f"image folder {self.folder} has no sub-folders; put each identity's images in "
                "a sub-folder of its own"
            )
        self.class_names = tuple(person.name for person in people)
        self.paths: list[str] = []
        identities: list[int] = []
        for identity, person in enumerate(people):
            images = _images_in(person)
            self.paths += [f"{person.name}/{name}" for name in images]
            identities += [identity] * len(images)
        self.identities = np.array(identities, np.int64)

    def read(self, position: int) -> np.ndarray:
        """uint8 [112, 112, 3] RGB. Raises UserError if the file is gone or undecodable."""
        try:
            data = (self.folder / self.paths[position]).read_bytes()
        except OSError as error:
            raise UserError(
                f"{self.describe(position)} cannot be read ({error.strerror}); it was there when "
                "the run started, put it back or start again"
            ) from error
        return decode_face(data, self.describe(position))

    def describe(self, position: int) -> str:
        """``image FILE``."""
        return f"image {self.folder / self.paths[position]}"


def _images_in(person: Path) -> list[str]:
    names = sorted(
        child.name
        for child in person.iterdir()
        if child.suffix.lower() in IMAGE_SUFFIXES and not child.name.startswith(".")
    )
    if not names:
        raise UserError(
            f"identity folder {person} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}); "
            "add some or remove it"
        )
    return names
