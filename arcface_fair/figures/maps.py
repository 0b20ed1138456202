# SPDX-License-Identifier: MIT
"""Attention maps of a trained model, averaged group by group, as arrays and as pictures.

N images, H W height and width. Maps are taken in eval mode, so that each depends on its own
image alone; before averaging each is divided by its mean (GABN, figures 1, 5 and 6).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from arcface_fair.attention.gradient_maps import attend, half_mass_area, plain_margin, relative_maps
from arcface_fair.data.training.dataset import to_input
from arcface_fair.files import atomic_files
from arcface_fair.run.embed import evaluating

if TYPE_CHECKING:
    from arcface_fair.head import PartialFC


@dataclass(frozen=True)
class GroupMap:
    """What a model attends to in one group's images."""

    name: str
    images: int
    average: NDArray[np.float32]  # [H, W], mean 1
    area: float  # share of pixels that hold half of an image's map, mean over images, 0..1
    face: NDArray[np.uint8]  # [H, W, 3] the average image, RGB


def attention_maps(
    backbone: nn.Module,
    head: PartialFC,
    images: NDArray[np.uint8],
    *,
    batch_size: int = 32,
    on_images: Callable[[int], object] = lambda count: None,
) -> NDArray[np.float32]:
    """GAM of every image [N, H, W] from uint8 RGB [N, H, W, 3], eval mode, plain cosines.

    The images need not be of the classifier's people: pmax is over whom it knows. The network's
    modes are restored.
    """
    device = next(backbone.parameters()).device
    maps = []
    with evaluating(backbone):
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(np.ascontiguousarray(images[start : start + batch_size]))
            inputs = to_input(batch.permute(0, 3, 1, 2).to(device)).contiguous()
            labels = torch.zeros(len(batch), dtype=torch.int64, device=device)
            margin = plain_margin(head.margin_softmax)
            maps.append(attend(backbone, head, inputs, labels, margin=margin).maps.cpu().numpy())
            on_images(len(batch))
    return np.concatenate(maps)


def group_map(name: str, images: NDArray[np.uint8], maps: NDArray[np.float32]) -> GroupMap:
    """Averages one group's maps [N, H, W]."""
    relative = relative_maps(torch.from_numpy(maps))
    area = float(half_mass_area(relative).nanmean())
    face = images.mean(0).round().astype(np.uint8)
    return GroupMap(name, len(images), relative.mean(0).numpy(), area, face)


def write_maps(folder: str | Path, groups: list[GroupMap]) -> list[Path]:
    """``maps.npz`` and ``maps.png`` (average faces above, maps below, one column per group).

    All maps share one colour scale, so that columns can be compared.
    """
    folder = Path(folder)
    paths = [folder / "maps.npz", folder / "maps.png"]
    top = max(float(np.percentile(group.average, 99.5)) for group in groups) or 1.0
    columns = []
    for group in groups:
        grey = (np.clip(group.average / top, 0, 1) * 255).astype(np.uint8)
        heat = cv2.applyColorMap(grey, cv2.COLORMAP_JET)
        label = np.full((18, heat.shape[1], 3), 255, np.uint8)
        text = f"{group.name} {group.area:.3f}"
        cv2.putText(label, text, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), 1)
        columns.append(np.concatenate([label, group.face[:, :, ::-1], heat]))
    done, picture = cv2.imencode(".png", np.concatenate(columns, axis=1))
    assert done
    with atomic_files(*paths) as (arrays, image):
        np.savez(
            arrays,
            names=np.array([group.name for group in groups]),
            maps=np.stack([group.average for group in groups]),
            areas=np.array([group.area for group in groups], np.float32),
            images=np.array([group.images for group in groups]),
        )
        image.write(picture.tobytes())
    return paths
