# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d

from arcface_fair import bridge
from arcface_fair.errors import UserError


def test_a_missing_set_is_refused_and_a_present_one_passes(record):
    bridge.require_bin(str(record / "unseen.bin"))
    with pytest.raises(UserError, match=r"val_targets names .*lfw.bin, which does not exist"):
        bridge.require_bin(str(record / "lfw.bin"))


def test_a_set_is_images_mirror_images_and_booleans(record):
    (images, mirrored), same = bridge.load_bin(str(record / "unseen.bin"), (112, 112))
    assert images.shape == (40, 3, 112, 112)
    assert images.dtype == torch.float32
    assert 0 <= images.min() < 50 < 200 < images.max() <= 255
    assert torch.equal(mirrored, images.flip(3))
    assert same == [True, False] * 10
    with pytest.raises(UserError, match=r"image_size is \(96, 96\)"):
        bridge.load_bin(str(record / "unseen.bin"), (96, 96))


def test_where_rates_rise_strictly_the_threshold_is_scipys():
    thresholds = np.arange(0, 4, 0.01)
    rates = np.sort(np.random.default_rng(0).random(400))
    ours = bridge.threshold_between(rates, thresholds, kind="slinear")
    theirs = interp1d(rates, thresholds, kind="slinear")
    for far in (0.01, 0.1, 0.5):
        assert ours(far) == pytest.approx(float(theirs(far)), abs=1e-12)


def test_on_a_staircase_the_threshold_lies_behind_the_last_allowed_step():
    thresholds = np.arange(5) * 0.1
    find = bridge.threshold_between(np.array([0, 0, 0.5, 0.5, 1.0]), thresholds)
    assert find(0.25) == pytest.approx(0.15)
    assert find(0.5) == pytest.approx(0.3)
