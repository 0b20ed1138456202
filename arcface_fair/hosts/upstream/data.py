# SPDX-License-Identifier: MIT
"""Images and verification sets for arcface_torch, read safely, without MXNet and SciPy.

Errors of the loader's processes and threads reach the user as one sentence.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from arcface_fair.data.image.images import FACE_SIZE, BadImageError
from arcface_fair.data.sets import bins
from arcface_fair.errors import UserError
from arcface_fair.evaluation.verification import threshold_at
from arcface_fair.hosts.upstream.config import current, faces

LOGGER = logging.getLogger("arcface_fair")


class RecordImages(Dataset):
    """Position to (float32 [3, 112, 112] RGB in -1..1, int64 label), mirrored by chance 1/2.

    The mirror image is decided by one ``torch.rand(1)`` per image and the pixels take upstream's
    arithmetic, so that losses are those of upstream's own data set. ``config.flip = False`` turns
    mirroring off; nothing is drawn then. Raises UserError naming a record that cannot be decoded;
    ``config.skip_bad_images`` takes the next image in its place and says so in the log.
    """

    def __init__(self, folder: str) -> None:
        self.faces = faces(folder)
        self.labels = self.faces.identities  # once, before workers start
        self.flip, self.skip = current().flip, current().skip_bad_images

    def __len__(self) -> int:
        return self.faces.num_images

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        image, position = self._read(position)
        if self.flip and torch.rand(1) < 0.5:
            image = image[:, ::-1]
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).contiguous()
        label = torch.tensor(int(self.labels[position]), dtype=torch.long)
        return pixels.float().div_(255).sub_(0.5).div_(0.5), label

    def _read(self, position: int) -> tuple[np.ndarray, int]:
        """The image, and the position that it is from."""
        for candidate in (*range(position, len(self)), *range(position)):
            try:
                return self.faces.read(candidate), candidate
            except BadImageError as error:
                if not self.skip:
                    raise
                LOGGER.warning("passed over: %s", error)
        raise UserError("none of the record's images can be used; check where it comes from")


@dataclass(frozen=True)
class _Failure:
    """What ended the loading, on its way through the queue of the prefetching thread."""

    error: BaseException


def until_failure(batches: Iterable[Any]) -> Iterator[Any]:
    """The batches; an error becomes the last item instead of ending the thread in silence."""
    try:
        yield from batches
    except Exception as error:
        yield _Failure(error)


def unless_failed(item: Any) -> Any:
    """The item; raises what ended the loading. A worker's UserError is raised without its trace."""
    if not isinstance(item, _Failure):
        return item
    if isinstance(item.error, UserError):
        # torch puts the worker's traceback before the sentence.
        sentence = str(item.error).strip().splitlines()[-1]
        raise UserError(re.sub(r"^[\w.]+Error: ", "", sentence)) from None
    raise item.error


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
