# SPDX-License-Identifier: MIT
import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.figures.models import backbone_of, centres_of, moments
from arcface_fair.run.checkpoint import keep_model, kept_centres_path


def test_a_run_keeps_the_networks_it_was_asked_to(partitioned_run):
    found = list(moments(partitioned_run, 3))
    assert [(m.epoch, m.last) for m in found] == [(0, False), (1, False), (2, True)]
    assert [m.name for m in found] == ["after epoch 0", "after epoch 1", "after epoch 2 (last)"]
    first, last = found[0], found[-1]
    weights = [backbone_of(partitioned_run, m).fc.weight for m in (first, last)]
    assert not torch.equal(*weights)
    centres = [centres_of(partitioned_run, m, 1) for m in (first, last)]
    assert [tuple(c.shape) for c in centres] == [(8, 16)] * 2
    assert not torch.equal(*centres)
    # The last epoch's kept network is the last network.
    kept = torch.load(partitioned_run / "model_epoch_2.pt", weights_only=True)
    assert torch.equal(kept["fc.weight"], weights[1])


def test_of_many_networks_a_few_evenly_spread_remain(tmp_path):
    for epoch in range(20):
        keep_model(tmp_path, epoch, {}, torch.ones(1))
    assert [m.epoch for m in moments(tmp_path, 20)] == [0, 6, 12, 18, 19]


def test_class_centres_of_all_ranks_are_joined_in_order_or_missing(own_run):
    first = next(moments(own_run, 3))
    assert centres_of(own_run, first, 2) is None
    path = kept_centres_path(own_run, 0, 1)
    torch.save({"weight": torch.full((2, 16), 5.0)}, path)
    joined = centres_of(own_run, first, 2)
    assert joined.shape == (10, 16)
    assert (joined[8:] == 5).all()
    (own_run / "checkpoint_gpu_0.pt").unlink()
    assert centres_of(own_run, list(moments(own_run, 3))[-1], 1) is None
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"centres_epoch_0_gpu_1.pt cannot be read as class centr"):
        centres_of(own_run, first, 2)
