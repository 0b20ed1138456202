# SPDX-License-Identifier: MIT
"""Verification sets for arcface_torch: read safely, judged without SciPy's gap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arcface_fair.data.image.images import FACE_SIZE
from arcface_fair.data.sets import bins
from arcface_fair.errors import UserError
from arcface_fair.evaluation.verification import threshold_at


def require_bin(path: str) -> None:
    """Raises UserError where the .bin that val_targets names does not exist."""
    if not Path(path).is_file():
        raise UserError(
            f"config.val_targets names {path}, which does not exist; "
            "put the .bin beside the record or take its name out of val_targets"
        )


def load_bin(path: str, image_size: tuple[int, int]) -> tuple[list[Tensor], list[bool]]:
    """The images and their mirror images, float32 [2P, 3, 112, 112] in 0..255, and P booleans.

    Runs nothing that the file holds. Raises UserError for other files and sizes.
    """
    if tuple(image_size) != (FACE_SIZE, FACE_SIZE):
        raise UserError(
            f"image_size is {tuple(image_size)}, but verification sets are read as "
            f"{FACE_SIZE} x {FACE_SIZE}; use (112, 112)"
        )
    encoded, same = bins.load_bin(path)
    pixels = torch.from_numpy(bins.decode_bin(encoded, f"verification set {path}"))
    images = pixels.permute(0, 3, 1, 2).float()
    return [images, images.flip(3)], [bool(flag) for flag in same]


def threshold_between(
    rates: NDArray[np.float64], thresholds: NDArray[np.float64], kind: str = "slinear"
) -> Callable[[float], float]:
    """From a false accept rate to the threshold, on a staircase [T] of rates over ``thresholds``.

    Between the last grid point whose rate is at most the wanted one and the next, linearly;
    where no rate occurs twice this is what ``scipy.interpolate.interp1d`` gives.
    """
    assert kind == "slinear"
    return lambda far: threshold_at(rates, far, thresholds)
