# SPDX-License-Identifier: MIT
"""What every source of training faces offers: image and identity by position.

N images, C classes (identities). A position is 0..N-1 and names the same image for ever.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np


class FaceDataset(ABC):
    """Aligned faces of known people.

    identities: int64 [N], the class of every image by position.
    """

    identities: np.ndarray

    @property
    def num_images(self) -> int:
        """How many images there are."""
        return len(self.identities)

    @property
    def num_classes(self) -> int:
        """The highest identity plus one."""
        return int(self.identities.max()) + 1

    @abstractmethod
    def read(self, position: int) -> np.ndarray:
        """uint8 [112, 112, 3] RGB. Raises UserError naming a corrupt image."""

    @abstractmethod
    def describe(self, position: int) -> str:
        """How messages name the image, such as ``record 17 of faces/train.rec``."""
