# SPDX-License-Identifier: MIT
import cv2
import numpy as np
import pytest
import torch

from arcface_fair.figures import attention
from arcface_fair.figures.attention import (
    draw_group_maps,
    grad_cam_of_images,
    group_maps,
    inner_face,
    outside_share,
)
from arcface_fair.figures.run import backbone_of, moments
from arcface_fair.run.centres import class_centres


def test_the_inner_face_holds_eyes_and_mouth_of_the_template_at_any_size():
    for side in (112, 224):
        mask = inner_face(side, side)
        for x, y in [(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)]:
            assert mask[int(y * side / 112), int(x * side / 112)]
        assert not mask[0].any()
        assert 0.2 < mask.mean() < 0.35


def test_a_uniform_map_lies_outside_as_much_as_the_area_does():
    maps = np.stack([np.ones((112, 112)), inner_face(112, 112), np.zeros((112, 112))])
    found = outside_share(maps.astype(np.float32))
    assert found[0] == pytest.approx(1 - inner_face(112, 112).mean())
    assert found[1] == 0
    assert np.isnan(found[2])


@pytest.fixture
def material():
    images = np.random.default_rng(0).integers(0, 255, (6, 112, 112, 3), np.uint8)
    return images, np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 1])


def test_averages_are_those_of_the_groups_images(partitioned_run, material):
    images, identities, groups = material
    kept = list(moments(partitioned_run, 3))
    found = group_maps(partitioned_run, kept, 1, images, identities, groups, ["x", "y"])
    assert found.maps.shape == (3, 2, 112, 112)
    assert (found.targets, found.images) == (["own centre"] * 3, [4, 2])
    backbone, centres = (f(partitioned_run, kept[1]) for f in (backbone_of, last_centres))
    maps = grad_cam_of_images(backbone, images, centres[torch.from_numpy(identities)])
    np.testing.assert_allclose(found.maps[1, 1], maps[4:].mean(0), atol=1e-6)
    np.testing.assert_allclose(found.outside[1, 0], np.nanmean(outside_share(maps[:4])), atol=1e-6)


def last_centres(folder, moment):
    return class_centres(folder, 1, moment.epoch)


def test_without_class_centres_the_second_image_is_the_target(own_run, material):
    for path in own_run.glob("centres_epoch_*"):
        path.unlink()
    images, identities, groups = material
    kept = list(moments(own_run, 3))
    found = group_maps(own_run, kept, 1, images, identities, groups, ["x", "y"])
    assert found.targets == ["second image", "second image", "own centre"]
    assert found.maps[0].any()


def test_the_figure_has_a_row_per_network_and_a_column_per_group(
    partitioned_run, material, tmp_path
):
    images, identities, groups = material
    kept = list(moments(partitioned_run, 3))
    pictures = []
    for some in (kept[:1], kept):
        found = group_maps(partitioned_run, some, 1, images, identities, groups, ["x", "y"])
        pictures.append(cv2.imread(str(draw_group_maps(found, tmp_path / "cam.png"))))
    assert pictures[1].shape[0] > 1.5 * pictures[0].shape[0]


def test_a_group_whose_maps_are_all_empty_has_no_share(monkeypatch, partitioned_run, material):
    images, identities, groups = material
    monkeypatch.setattr(
        attention, "grad_cam_of_images", lambda *_, **__: np.zeros((6, 112, 112), np.float32)
    )
    last = list(moments(partitioned_run, 3))[-1:]
    found = group_maps(partitioned_run, last, 1, images, identities, groups, ["x", "y"])
    assert np.isnan(found.outside).all()
