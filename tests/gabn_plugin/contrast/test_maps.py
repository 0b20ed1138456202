# SPDX-License-Identifier: MIT
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.head import ArcFace, PartialFC
from gabn_plugin.contrast.maps import SubsetMaps, map_positions, smoothed, subset_maps

CLASSES = 5


def network():
    torch.manual_seed(0)
    backbone = get_model("small", num_features=8).eval()
    return backbone, PartialFC(ArcFace(16.0, 0.3), 8, CLASSES)


def pictures(count):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 112, 112, generator=generator) * 2 - 1


def of_log_pmax(backbone, head, image, average=None):
    """The equations as written down, of log pmax: one image at a time, autograd and OpenCV."""
    image = image[None].clone().requires_grad_()
    embedding = torch.nn.functional.normalize(backbone(image))
    cosines = embedding @ torch.nn.functional.normalize(head.weight).T
    log_pmax = (16.0 * cosines).log_softmax(1).max()
    (gradient,) = torch.autograd.grad(log_pmax, image)
    map_ = gradient.abs().amax(1)[0].numpy()
    if average is not None:
        map_ = map_ * np.abs(image.detach()[0].numpy() - average).max(0)
    padded = cv2.copyMakeBorder(map_, 10, 10, 10, 10, cv2.BORDER_CONSTANT, value=0)
    ones = cv2.copyMakeBorder(np.ones_like(map_), 10, 10, 10, 10, cv2.BORDER_CONSTANT, value=0)
    sums, counts = (cv2.boxFilter(a, -1, (21, 21), normalize=False) for a in (padded, ones))
    box = (sums / counts.clip(1))[10:-10, 10:-10]
    relative = box / box.mean()
    return (relative + relative[:, ::-1]) / 2


@pytest.mark.parametrize("measure", ["effect", "sensitivity"])
def test_maps_are_those_of_the_equations_although_the_gradient_is_of_pmax_itself(measure):
    backbone, head = network()
    images, labels = pictures(6), torch.arange(6) % CLASSES
    subsets = torch.tensor([0, 1, 0, -1, 1, 1])
    found = subset_maps(
        backbone, head, images, labels, subsets,
        num_subsets=2, smooth=21, measure=measure, batch_size=4,
    )  # fmt: skip
    means = np.stack([images[subsets == k].mean(0).numpy() for k in range(2)]).mean(0)
    average = (means + means[:, :, ::-1]) / 2 if measure == "effect" else None
    single = np.stack([of_log_pmax(backbone, head, image, average) for image in images])
    for k in range(2):
        expected = single[(subsets == k).numpy()].mean(0)
        np.testing.assert_allclose(found.maps[k].numpy(), expected, rtol=2e-3, atol=2e-4)
        mean = images[subsets == k].mean(0)
        torch.testing.assert_close(found.faces[k], mean)
    assert found.images.tolist() == [2, 3]
    expected = found.maps[1] - found.maps[0]
    torch.testing.assert_close(found.contrast(1), expected)
    assert all(p.grad is None for p in backbone.parameters())


def test_a_map_is_its_own_mirror_image_and_has_mean_one():
    backbone, head = network()
    found = subset_maps(
        backbone, head, pictures(2), torch.zeros(2, dtype=torch.int64),
        torch.zeros(2, dtype=torch.int64), num_subsets=1, smooth=5,
        measure="effect", batch_size=2,
    )  # fmt: skip
    torch.testing.assert_close(found.maps, found.maps.flip(2))
    assert float(found.maps.mean()) == pytest.approx(1, abs=1e-5)


def test_with_three_subsets_the_easy_one_is_held_against_the_mean_of_the_others():
    maps = torch.rand(4, 3, 3)
    found = SubsetMaps(maps, torch.zeros(4, 3, 3, 3), torch.tensor([2, 2, 2, 0]))
    torch.testing.assert_close(found.contrast(2), maps[2] - (maps[0] + maps[1]) / 2)


def test_a_subset_without_others_has_no_contrast():
    found = SubsetMaps(torch.rand(2, 3, 3), torch.zeros(2, 3, 3, 3), torch.tensor([2, 0]))
    assert not found.contrast(0).any()


def test_smoothing_leaves_a_flat_map_flat_up_to_the_border():
    torch.testing.assert_close(
        smoothed(torch.full((1, 30, 30), 3.0), 21), torch.full((1, 30, 30), 3.0)
    )


def test_map_positions_are_so_many_of_every_subset_and_nobody_twice():
    identities = np.repeat(np.arange(10), 5)
    subset = np.array([0] * 6 + [1] * 3 + [255], np.uint8)
    chosen = map_positions(identities, subset, 20, np.random.default_rng(0))
    assert np.bincount(subset[identities[chosen]]).tolist() == [20, 15]
    assert len(set(chosen.tolist())) == 35
