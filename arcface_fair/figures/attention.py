# SPDX-License-Identifier: MIT
"""Average Grad-CAM maps per group, over the epochs a run kept (INV-REG, figures 1c and 9).

N images, G groups, E networks, H W image size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from arcface_fair.attention.gradcam import grad_cam, second_image_directions
from arcface_fair.data.training.dataset import to_input
from arcface_fair.figures.run import Moment, backbone_of
from arcface_fair.optional import pyplot
from arcface_fair.run.centres import class_centres
from arcface_fair.run.embed import embed_bin, evaluating

# In the template to which faces are aligned: eyes at height 52, mouth at 92 of 112 pixels.
_INNER_FACE = {"centre": (56.0, 71.0), "half_axes": (29.0, 37.0)}


@dataclass(frozen=True)
class GroupMaps:
    """Averages over the images of each group.

    maps float32 [E, G, H, W]; outside float [E, G]: share of a map's mass that lies outside the
    inner face, mean over images; faces uint8 [G, H, W, 3]: the average image; targets [E]: what
    the cosine was taken to, "own centre" or "second image".
    """

    names: list[str]
    moments: list[Moment]
    maps: np.ndarray
    outside: np.ndarray
    faces: np.ndarray
    images: list[int]
    targets: list[str]


def inner_face(height: int, width: int) -> np.ndarray:
    """bool [H, W]: eyes, nose and mouth of a face aligned to the 112 x 112 template."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    (x, y), (a, b) = _INNER_FACE["centre"], _INNER_FACE["half_axes"]
    return ((columns * 112 / width - x) / a) ** 2 + ((rows * 112 / height - y) / b) ** 2 <= 1


def outside_share(maps: np.ndarray) -> np.ndarray:
    """Share of each map's mass outside the inner face, [N]; NaN for a map of zeros."""
    outside = ~inner_face(*maps.shape[1:])
    mass = maps.sum((1, 2), dtype=np.float64)
    part = (maps * outside).sum((1, 2), dtype=np.float64)
    return np.where(mass > 0, part / np.where(mass > 0, mass, 1), np.nan)


def grad_cam_of_images(
    backbone: nn.Module,
    images: np.ndarray,
    directions: Tensor,
    *,
    batch_size: int = 64,
    on_images: Callable[[int], object] = lambda count: None,
) -> np.ndarray:
    """`grad_cam` of uint8 RGB images [N, H, W, 3] in batches, in eval mode: float32 [N, H, W].

    The modes of the network's parts are restored.
    """
    device = next(backbone.parameters()).device
    maps = []
    with evaluating(backbone):
        for start in range(0, len(images), batch_size):
            part = np.ascontiguousarray(images[start : start + batch_size].transpose(0, 3, 1, 2))
            targets = directions[start : start + batch_size].to(device)
            inputs = to_input(torch.from_numpy(part).to(device))
            maps.append(grad_cam(backbone, inputs, targets).cpu().numpy())
            on_images(len(part))
    return np.concatenate(maps)


def group_maps(
    folder: Path,
    moments: list[Moment],
    world_size: int,
    images: np.ndarray,
    identities: np.ndarray,
    groups: np.ndarray,
    names: list[str],
    *,
    device: str = "cpu",
    on_images: Callable[[int], object] = lambda count: None,
) -> GroupMaps:
    """The averages for images uint8 [N, H, W, 3] of the given people and groups (0..G-1)."""
    averages, outside, targets = [], [], []
    for moment in moments:
        backbone = backbone_of(folder, moment).to(device)
        centres = class_centres(folder, world_size, None if moment.last else moment.epoch)
        if centres is None:
            embeddings = embed_bin(backbone, images, device, flip=False)
            directions = torch.from_numpy(second_image_directions(embeddings, identities))
            targets.append("second image")
        else:
            directions = centres[torch.from_numpy(identities)]
            targets.append("own centre")
        maps = grad_cam_of_images(backbone, images, directions, on_images=on_images)
        shares = outside_share(maps)
        members = [groups == code for code in range(len(names))]
        averages.append(np.stack([maps[m].mean(0) for m in members]))
        outside.append([_mean_of_known(shares[m]) for m in members])
    faces = [images[groups == code].mean(0).round().astype(np.uint8) for code in range(len(names))]
    counts = [int((groups == code).sum()) for code in range(len(names))]
    return GroupMaps(
        names, moments, np.stack(averages), np.array(outside), np.stack(faces), counts, targets
    )


def _mean_of_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def draw_group_maps(group_maps: GroupMaps, path: Path) -> Path:
    """The average face of each group above, its average map at every epoch below.

    One colour scale for all maps; the line is the inner face, the number the share outside it.
    """
    plt = pyplot()
    across, down = len(group_maps.names), 1 + len(group_maps.moments)
    figure, grid = plt.subplots(
        down, across, figsize=(0.9 + 1.75 * across, 0.5 + 1.9 * down), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    top = float(group_maps.maps.max()) or 1.0
    mask = inner_face(*group_maps.maps.shape[2:])
    for column, name in enumerate(group_maps.names):
        grid[0, column].imshow(group_maps.faces[column])
        grid[0, column].set_title(f"{name}\n{group_maps.images[column]} images", fontsize=9)
        for row, moment in enumerate(group_maps.moments):
            axes = grid[1 + row, column]
            axes.imshow(group_maps.faces[column].mean(2), cmap="gray", vmin=0, vmax=255)
            heat = axes.imshow(
                group_maps.maps[row, column], cmap="inferno", vmin=0, vmax=top, alpha=0.72
            )
            axes.contour(mask, [0.5], colors="white", linewidths=0.8)
            axes.set_xlabel(f"outside {100 * group_maps.outside[row, column]:.0f} %", fontsize=8)
            if column == 0:
                axes.set_ylabel(f"{moment.name}\n{group_maps.targets[row]}", fontsize=8)
    grid[0, 0].set_ylabel("average face", fontsize=8)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(
        f"Grad-CAM by group; a uniform map lies {100 * (1 - mask.mean()):.0f} % outside the line",
        fontsize=9,
    )
    bar = figure.colorbar(heat, ax=grid, location="right", shrink=0.5, aspect=30)
    bar.set_label("mean Grad-CAM (each image's maximum is 1)", fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path
