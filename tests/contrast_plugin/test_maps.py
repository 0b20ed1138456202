# SPDX-License-Identifier: MIT
from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.head import ArcFace, PartialFC
from contrast_plugin.maps import (
    SubsetMaps,
    local_contrast,
    map_positions,
    smoothed,
    subset_maps,
)

CLASSES = 5


def network():
    torch.manual_seed(0)
    backbone = get_model("small", num_features=8).eval()
    return backbone, PartialFC(ArcFace(16.0, 0.3), 8, CLASSES)


def pictures(count):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 3, 112, 112, generator=generator) * 2 - 1


def box_mean(plane, side):
    """By sums over a padded picture: a mean over those pixels of the box that exist."""
    half = side // 2
    sums, counts = (
        cv2.boxFilter(
            cv2.copyMakeBorder(a, half, half, half, half, cv2.BORDER_CONSTANT, value=0),
            -1, (side, side), normalize=False,
        )[half:-half, half:-half]
        for a in (plane, np.ones_like(plane))
    )  # fmt: skip
    return sums / counts


def of_log_pmax(backbone, head, image, measure):
    """The equations as written down, of log pmax: one image at a time, autograd and OpenCV."""
    image = image[None].clone().requires_grad_()
    embedding = torch.nn.functional.normalize(backbone(image))
    cosines = embedding @ torch.nn.functional.normalize(head.weight).T
    log_pmax = (16.0 * cosines).log_softmax(1).max()
    (gradient,) = torch.autograd.grad(log_pmax, image)
    map_ = gradient.abs().amax(1)[0].numpy()
    if measure == "effect":
        pixels = image.detach()[0].numpy()
        map_ = map_ * np.stack([np.abs(p - box_mean(p, 31)) for p in pixels]).max(0)
    box = box_mean(map_, 21)
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
    single = np.stack([of_log_pmax(backbone, head, image, measure) for image in images])
    for k in range(2):
        expected = np.exp(np.log(single[(subsets == k).numpy()]).mean(0))
        np.testing.assert_allclose(found.maps[k].numpy(), expected, rtol=2e-3, atol=2e-4)
        mean = images[subsets == k].mean(0)
        torch.testing.assert_close(found.faces[k], mean)
    assert found.images.tolist() == [2, 3]
    expected = found.maps[1].log() - found.maps[0].log()
    torch.testing.assert_close(found.contrast(1), expected)
    assert all(p.grad is None for p in backbone.parameters())


def test_a_map_of_one_image_is_its_own_mirror_image_and_has_mean_one():
    backbone, head = network()
    found = subset_maps(
        backbone, head, pictures(1), torch.zeros(1, dtype=torch.int64),
        torch.zeros(1, dtype=torch.int64), num_subsets=1, smooth=5,
        measure="effect", batch_size=1,
    )  # fmt: skip
    torch.testing.assert_close(found.maps, found.maps.flip(2))
    assert float(found.maps.mean()) == pytest.approx(1, abs=1e-5)


def test_with_three_subsets_the_easy_one_is_held_against_the_mean_of_the_others():
    maps = torch.rand(4, 3, 3)
    found = SubsetMaps(maps, torch.zeros(4, 3, 3, 3), torch.tensor([2, 2, 2, 0]))
    torch.testing.assert_close(found.contrast(2), (maps[2] / (maps[0] * maps[1]).sqrt()).log())


def test_a_subset_without_others_has_no_contrast():
    found = SubsetMaps(torch.rand(2, 3, 3), torch.zeros(2, 3, 3, 3), torch.tensor([2, 0]))
    assert not found.contrast(0).any()


def test_smoothing_leaves_a_flat_map_flat_up_to_the_border():
    torch.testing.assert_close(
        smoothed(torch.full((1, 30, 30), 3.0), 21), torch.full((1, 30, 30), 3.0)
    )


def test_local_contrast_is_zero_on_flat_ground_and_the_largest_over_channels():
    image = torch.full((1, 3, 60, 60), 0.4)
    image[0, 1, 30, 30] = 1.4
    found = local_contrast(image)[0]
    assert float(found[30, 30]) == pytest.approx(1 - 1 / 31**2, abs=1e-5)
    assert float(found[:10].abs().max()) == pytest.approx(0, abs=1e-5)


def test_map_positions_are_so_many_of_every_subset_and_nobody_twice():
    identities = np.repeat(np.arange(10), 5)
    subset = np.array([0] * 6 + [1] * 3 + [255], np.uint8)
    chosen = map_positions(identities, subset, 20, np.random.default_rng(0))
    assert np.bincount(subset[identities[chosen]]).tolist() == [20, 15]
    assert len(set(chosen.tolist())) == 35
