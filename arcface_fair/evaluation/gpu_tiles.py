# SPDX-License-Identifier: MIT
"""The product of one tile with torch, on a GPU where there is one."""

from __future__ import annotations

import numpy as np
import torch

from arcface_fair.evaluation.tiles import Floats32, Ints, Tile


class TorchProduct:
    """As `tiles.NumpyProduct`; the rows lie on ``device``. unit: float32 [N, D]."""

    def __init__(self, unit: Floats32, device: str | torch.device) -> None:
        self._unit = torch.from_numpy(unit).to(device)

    def above(self, tile: Tile, bound: float) -> tuple[Ints, Ints, Floats32]:
        """See `tiles.Product`. Products are full float32, whatever the process allows else."""
        rows, columns = tile
        precision = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("highest")
        try:
            scores = self._unit[rows] @ self._unit[columns].T
        finally:
            torch.set_float32_matmul_precision(precision)
        hits = (scores >= bound).nonzero()
        values = scores[hits[:, 0], hits[:, 1]].cpu().numpy()
        places = hits.cpu().numpy().astype(np.int64)
        return places[:, 0] + rows.start, places[:, 1] + columns.start, values
