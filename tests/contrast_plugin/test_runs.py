# SPDX-License-Identifier: MIT
"""What whole runs do to the images, and what they leave to look at."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from arcface_fair.hosts.embedded import train
from tests.contrast_plugin.runs import (
    OPEN,
    WORDS,
    batches_before_and_after,
    losses_of,
    run_config,
    saved,
)
from tests.small_data import small_run


@pytest.mark.parametrize("fill", ["batch", "reference", "grey"])
def test_only_easy_images_change_only_where_the_map_is_positive_into_the_fill(
    record, tmp_path, fill
):
    trainer, seen = batches_before_and_after(
        run_config(record, tmp_path / "run", {**OPEN, "fill": fill})
    )
    found = trainer.session.plugins[0].state.found
    assert found.acts
    assert 0 < found.mask.float().mean() < 1
    assert found.names == ("a", "b")
    of_class = {word: number for number, word in enumerate(found.names)}
    subset = torch.tensor([of_class.get(word, 255) for word in WORDS])
    assert torch.equal(found.subset.long(), subset)
    for epoch, before, labels, after in seen:
        if epoch == 0:
            assert torch.equal(before, after)
            continue
        easy = subset[labels] == found.easy
        assert easy.any()
        assert torch.equal(after[~easy], before[~easy])
        assert torch.equal(after[easy][:, :, ~found.mask], before[easy][:, :, ~found.mask])
        reference = (subset[labels] != found.easy) & (subset[labels] != 255)
        sources = before[reference if fill == "reference" else slice(None)][:, :, found.mask]
        for row in torch.where(easy)[0]:
            new = after[row][:, found.mask]
            if fill == "grey":
                assert (new == 0).all()
            else:
                assert any(torch.equal(new, source) for source in sources)
                assert not torch.equal(new, before[row][:, found.mask])


def test_the_rolled_control_replaces_as_many_pixels_elsewhere(record, tmp_path):
    settings = {**OPEN, "fill": "grey", "control": "rolled"}
    trainer, seen = batches_before_and_after(run_config(record, tmp_path / "run", settings))
    found = trainer.session.plugins[0].state.found
    easy = found.subset == found.easy
    places = set()
    for epoch, before, labels, after in seen:
        for row in torch.where(easy[labels])[0] if epoch else []:
            grey = (after[row] == 0).all(0)
            moved = (before[row] != 0).any(0) & grey
            assert int(grey.sum()) >= int(found.mask.sum())
            assert int(moved.sum()) <= int(found.mask.sum())
            places.add(grey.numpy().tobytes())
    assert len(places) > 5  # a place of its own for every image


def test_a_closed_gate_leaves_arcface_to_the_bit(record, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "arcface_fair"):
        closed = losses_of(run_config(record, tmp_path / "closed", {**OPEN, "gate": 2.0}))
    assert closed == losses_of(small_run(record, tmp_path / "plain"))
    assert "nothing is erased, the gap difference is below the gate of 2.00" in caplog.text
    state = saved(tmp_path / "closed")
    assert state["found"]["acts"] is False
    assert not np.isnan(state["found"]["difference"])
    opened = losses_of(run_config(record, tmp_path / "open", OPEN))
    assert opened[:6] == closed[:6]
    assert all(a != b for a, b in zip(opened[6:], closed[6:], strict=True))


def test_the_statistic_is_a_curve_and_the_map_a_picture_whether_it_acts_or_not(record, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for name, gate in (("open", 0.0), ("closed", 2.0)):
        output = train(run_config(record, tmp_path / name, {**OPEN, "gate": gate}))
        curves = EventAccumulator(str(output / "tensorboard"))
        curves.Reload()
        points = curves.Scalars("contrast/gap_difference")
        assert [point.step for point in points] == [7, 8, 9, 10, 11, 12]
        for point in points:
            assert point.value == pytest.approx(saved(output)["found"]["difference"])
        assert curves.Tags()["images"] == ["contrast/map"]
        assert (output / "contrast" / "contrast.png").read_bytes()[:4] == b"\x89PNG"
        arrays = np.load(output / "contrast" / "contrast.npz")
        assert arrays["acts"] == (gate == 0)
        np.testing.assert_array_equal(arrays["map"], saved(output)["found"]["map"])
        np.testing.assert_array_equal(arrays["mask"], arrays["map"] > 0)
        assert ("contrast/erased_share" in curves.Tags()["scalars"]) == (gate == 0)


def test_contrast_goes_with_the_other_parts_of_gabn(record, tmp_path):
    config = run_config(record, tmp_path / "run", OPEN)
    small = {"classifier_width": 4, "map_side": 28, "classifier_lr": 0.01, "start": 0.0}
    config["gabn"] = {"erasing": "off", **small}
    config["plugins"].insert(0, "gabn_plugin")
    trainer, seen = batches_before_and_after(config)
    found = trainer.session.plugins[1].state.found
    easy = found.subset == found.easy
    assert found.acts
    for epoch, before, labels, after in seen:
        changed = (before != after).flatten(1).any(1)
        assert torch.equal(changed, easy[labels] & (epoch == 1))
    assert trainer.session.penalties["gabn_confusion"].weight == 0.1
    assert float(trainer.head.margin_softmax.angle) > 0
