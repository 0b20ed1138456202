# SPDX-License-Identifier: MIT
"""The floor under every model: faces compared by their pixels alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def raw_pixels(images: NDArray[np.uint8], cell: int = 4) -> NDArray[np.float32]:
    """Embeddings [N, H/cell * W/cell * 3] of images [N, H, W, 3]: means over cells, in -1..1.

    The mirror image is added, as for networks.
    """
    count, height, width, channels = images.shape
    cells = images.reshape(count, height // cell, cell, width // cell, cell, channels)
    means = (cells.mean((2, 4), dtype=np.float32) - 127.5) / 127.5
    return (means + means[:, :, ::-1]).reshape(count, -1)
