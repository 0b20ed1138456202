# SPDX-License-Identifier: MIT
"""The faces that a run trains on: opened, checked, augmented, turned into network input."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from arcface_fair.data.image.images import FACE_SIZE
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.image_folder import ImageFolder
from arcface_fair.data.training.faces import FaceDataset
from arcface_fair.errors import UserError

__all__ = [
    "FaceDataset",
    "ImageFolder",
    "RecordDataset",
    "TrainingImages",
    "check_labels",
    "open_dataset",
    "to_input",
]


def open_dataset(path: str | Path) -> FaceDataset:
    """The faces in folder ``path``: a RecordIO file train.rec, or a sub-folder per identity.

    Raises UserError if it is neither.
    """
    folder = Path(path)
    if any((folder / name).exists() for name in ("train.rec", "train.idx")):
        return RecordDataset(folder)
    if not folder.is_dir():
        raise UserError(
            f"the data folder {folder} does not exist or is a file; set rec to the folder that "
            "holds train.rec and train.idx, or one sub-folder of images per identity"
        )
    if not any(child.is_dir() for child in folder.iterdir()):
        raise UserError(
            f"the data folder {folder} holds neither train.rec nor sub-folders; set rec to the "
            "folder that holds train.rec and train.idx, or one sub-folder of images per identity"
        )
    return ImageFolder(folder)


def check_labels(dataset: FaceDataset, num_classes: int) -> None:
    """Raises UserError, naming the first image, unless every identity is in 0..num_classes-1."""
    outside = (dataset.identities < 0) | (dataset.identities >= num_classes)
    if not outside.any():
        return
    position = int(outside.argmax())
    raise UserError(
        f"{dataset.describe(position)} has label {dataset.identities[position]}, outside "
        f"0..{num_classes - 1} ({int(outside.sum())} images are); the labels run from "
        f"{dataset.identities.min()} to {dataset.identities.max()}, "
        + (
            f"set num_classes to at least {dataset.num_classes}"
            if dataset.identities.min() >= 0
            else "number the identities from 0"
        )
    )


class TrainingImages(Dataset):
    """Augmented faces: index ``(epoch, position)`` to (uint8 [3, 112, 112], label, position).

    The image is a function of (seed, epoch, position) and of nothing else, so it does not
    matter which rank or worker asks, or when: resumed runs see what uninterrupted ones see.
    flip: mirror with probability 1/2.  shift: up to so many pixels each way in both directions,
    the border repeated; 0 turns it off.  seed: a whole number from 0.
    skip_bad_images: the loader replaces a corrupt image by another of its batch.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        *,
        flip: bool = True,
        shift: int = 0,
        seed: int = 0,
        skip_bad_images: bool = False,
    ) -> None:
        if seed < 0 or not 0 <= shift < FACE_SIZE:
            raise UserError(
                f"seed is {seed} and shift {shift} pixels; seed must be at least 0 "
                f"and shift in 0..{FACE_SIZE - 1}: correct them in the config"
            )
        self.dataset, self.labels = dataset, dataset.identities
        self.flip, self.shift, self.seed = flip, shift, seed
        self.skip_bad_images = skip_bad_images

    def __len__(self) -> int:
        return self.dataset.num_images

    def __getitem__(self, index: tuple[int, int]) -> tuple[Tensor, int, int]:
        epoch, position = index
        image = self.augment(self.dataset.read(position), epoch, position)
        chw = np.ascontiguousarray(image.transpose(2, 0, 1))
        return torch.from_numpy(chw), int(self.labels[position]), position

    def augment(self, image: np.ndarray, epoch: int, position: int) -> np.ndarray:
        """``image`` [H, W, 3] as this epoch shows it."""
        if not (self.flip or self.shift):
            return image
        rng = np.random.default_rng((self.seed, epoch, position))
        # All draws are made always, so that turning one off leaves the others as they were.
        mirrored, down, right = rng.random(3)
        if self.flip and mirrored < 0.5:
            image = image[:, ::-1]
        if self.shift:
            steps = 2 * self.shift + 1
            image = _shifted(image, self.shift, int(down * steps), int(right * steps))
        return image


def _shifted(image: np.ndarray, border: int, top: int, left: int) -> np.ndarray:
    height, width = image.shape[:2]
    wide = cv2.copyMakeBorder(
        np.ascontiguousarray(image), border, border, border, border, cv2.BORDER_REPLICATE
    )
    return wide[top : top + height, left : left + width]


def to_input(images: Tensor) -> Tensor:
    """uint8 images of any shape to float32 in -1..1, upstream's range: x / 127.5 - 1."""
    return images.to(torch.float32).div_(127.5).sub_(1.0)
