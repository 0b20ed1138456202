# SPDX-License-Identifier: MIT
import numpy as np
import pytest
import torch
from scipy.interpolate import interp1d

from arcface_fair import bridge
from arcface_fair.data.record.writer import write_insightface_record
from arcface_fair.errors import UserError
from arcface_fair.hosts.upstream.config import faces
from tests.small_data import picture


def test_pixels_labels_and_the_one_draw_are_upstreams(cfg, record):
    bridge.configure(cfg)
    images = bridge.RecordImages(str(record))
    assert len(images) == 48
    for position in (0, 13, 47):
        torch.manual_seed(position)
        mirrored = bool(torch.rand(1) < 0.5)
        after = torch.rand(1)
        torch.manual_seed(position)
        pixels, label = images[position]
        assert torch.rand(1) == after  # exactly one number was drawn
        plain = torch.from_numpy(faces(str(record)).read(position)).permute(2, 0, 1)
        expected = plain.float().div(255).sub(0.5).div(0.5)
        assert torch.equal(pixels, expected.flip(2) if mirrored else expected)
        assert (label.dtype, int(label)) == (torch.long, position // 6)


def test_flip_off_draws_nothing(cfg, record):
    cfg.flip = False
    bridge.configure(cfg)
    before = torch.get_rng_state()
    first, _ = bridge.RecordImages(str(record))[5]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, bridge.RecordImages(str(record))[5][0])


@pytest.fixture
def damaged(tmp_path):
    content = [(picture(0, 0), 0), (b"no image", 0), (picture(1, 0), 1)]
    write_insightface_record(tmp_path / "damaged", iter(content), 2, 112)
    return str(tmp_path / "damaged")


def test_a_damaged_image_is_named_or_passed_over(cfg, damaged, caplog):
    cfg.update(rec=damaged, flip=False)
    bridge.configure(cfg)
    with pytest.raises(UserError, match=r"record 2 of .* cannot be decoded as an image"):
        bridge.RecordImages(damaged)[1]
    cfg.skip_bad_images = True
    bridge.configure(cfg)
    images = bridge.RecordImages(damaged)
    assert torch.equal(images[1][0], images[2][0])
    assert int(images[1][1]) == 1
    assert "passed over: record 2 of" in caplog.text


def test_a_record_without_any_image_is_refused(cfg, tmp_path):
    folder = tmp_path / "broken"
    write_insightface_record(folder, iter([(b"x", 0), (b"y", 1)]), 2, 112)
    cfg.update(rec=str(folder), skip_bad_images=True)
    bridge.configure(cfg)
    with pytest.raises(UserError, match="none of the record's images can be used"):
        bridge.RecordImages(str(folder))[0]


def test_an_error_arrives_behind_the_batches_that_were_loaded():
    def batches():
        yield 1
        raise OSError("disk gone")

    loaded = list(bridge.until_failure(batches()))
    assert bridge.unless_failed(loaded[0]) == 1
    assert bridge.unless_failed(None) is None
    with pytest.raises(OSError, match="disk gone"):
        bridge.unless_failed(loaded[1])


def test_a_workers_trace_is_cut_from_a_users_sentence():
    text = "Caught X in DataLoader worker\nTrace\nsome.module.BadImageError: record 7 is bad"

    def batches():
        raise UserError(text)
        yield

    (failure,) = bridge.until_failure(batches())
    with pytest.raises(UserError, match=r"^record 7 is bad$"):
        bridge.unless_failed(failure)


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
