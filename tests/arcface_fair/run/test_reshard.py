# SPDX-License-Identifier: MIT
"""Checkpoints cut for other numbers of ranks lose no byte, and parts of two runs never mix."""

import copy

import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.head import shard_of
from arcface_fair.hosts.embedded import Trainer
from arcface_fair.hosts.settings import parse_run
from arcface_fair.run.reshard import (
    check_parts,
    cut,
    merge_states,
    move_to_batch,
    reshard_states,
)
from tests.small_data import small_run, write_small_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"), identities=7)


def trained(record, output, **changes):
    """A trainer after one epoch of small batches, and its checkpoint."""
    config = small_run(record, output, num_epoch=1, save_all_states=False, **changes)
    from arcface_fair.plugin.loading import load_plugin_modules

    run, _ = parse_run(config, {"invreg"})
    trainer = Trainer(run, config, load_plugin_modules(run.plugins), torch.device("cpu"))
    trainer.fit()
    return trainer, trainer.state.collect(1, trainer.session.global_step, 0)


@pytest.fixture(scope="module")
def state(record, tmp_path_factory):
    changes = {"gradient_acc": 4, "plugins": ["invreg_plugin"], "invreg": {"stages": (0,)}}
    return trained(record, tmp_path_factory.mktemp("run"), **changes)[1]


def same(a, b):
    """Whether two states are equal to the last bit, dtypes and structure included."""
    if isinstance(a, torch.Tensor):
        bits = [t.reshape(-1).contiguous().view(torch.uint8) for t in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bits)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def buffer(state, position=-1, name="momentum_buffer"):
    key = list(state["state_optimizer"]["state"])[position]
    return state["state_optimizer"]["state"][key][name]


def test_one_to_three_to_two_to_one_gives_every_byte_back(state):
    assert state["pending_gradients"] is not None
    three = reshard_states([state], 3)
    two = reshard_states(three, 2)
    assert [len(s["state_dict_softmax_fc"]["weight"]) for s in three] == [3, 2, 2]
    assert [s["facts"]["world_size"] for s in two] == [2, 2]
    assert same(merge_states(two), state)
    assert same(reshard_states(two, 3), three)


def test_adams_moments_are_cut_and_its_step_is_not(record, tmp_path):
    _, state = trained(record, tmp_path, optimizer="adamw")
    three = reshard_states([state], 3)
    for rank, part in enumerate(three):
        rows = shard_of(7, rank, 3)
        for name in ("exp_avg", "exp_avg_sq"):
            assert torch.equal(buffer(part, -1, name), buffer(state, -1, name)[list(rows)])
        assert torch.equal(buffer(part, -1, "step"), buffer(state, -1, "step"))
    assert same(merge_states(three), state)


def test_every_rank_gets_its_classes_momentum_and_waiting_gradient(state):
    for rank, part in enumerate(reshard_states([state], 3)):
        rows = list(shard_of(7, rank, 3))
        weight = state["state_dict_softmax_fc"]["weight"][rows]
        assert torch.equal(part["state_dict_softmax_fc"]["weight"], weight)
        assert torch.equal(buffer(part), buffer(state)[rows])
        assert torch.equal(part["pending_gradients"][-1], state["pending_gradients"][-1][rows])
        assert same(part["pending_gradients"][:-1], state["pending_gradients"][:-1])


def test_merging_keeps_rank_0s_batchnorm_and_splitting_copies_it(state):
    one, two = reshard_states([state], 2)
    assert same(one["state_dict_backbone"], two["state_dict_backbone"])
    assert same(one["plugins"], state["plugins"])
    two["state_dict_backbone"] = dict(two["state_dict_backbone"])
    name = next(n for n in two["state_dict_backbone"] if n.endswith("running_mean"))
    two["state_dict_backbone"][name] = two["state_dict_backbone"][name] + 1
    assert same(merge_states([one, two]), state)


def test_a_trainer_takes_a_merged_state_and_goes_on(record, tmp_path):
    trainer, state = trained(record, tmp_path / "a")
    merged = merge_states(reshard_states([state], 3))
    trainer.state.restore(merged | {"written_by": 1})
    assert torch.equal(trainer.head.weight, state["state_dict_softmax_fc"]["weight"])


def test_checkpoints_of_arcface_torch_without_our_keys_are_cut_too(state):
    keys = (
        *("epoch", "global_step", "state_dict_backbone"),
        *("state_dict_softmax_fc", "state_optimizer", "state_lr_scheduler"),
    )
    theirs = {key: state[key] for key in keys}
    three = reshard_states([theirs], 3)
    assert list(three[0]) == list(theirs)
    assert same(merge_states(three), theirs)


def broken(state, **changes):
    """Two parts of which the second is changed."""
    one, two = reshard_states([state], 2)
    return [one, copy.deepcopy(two) | changes]


def test_parts_of_different_epochs_or_steps_are_refused(state):
    with pytest.raises(UserError, match=r"rank 1 is of epoch 3, that of rank 0 1; put the parts"):
        merge_states(broken(state, epoch=3))
    with pytest.raises(UserError, match="rank 1 is of global_step 9, that of rank 0"):
        merge_states(broken(state, global_step=9))
    with pytest.raises(UserError, match="rank 1 is of step 2, that of rank 0 0"):
        merge_states(broken(state, step=2))


def test_parts_of_other_runs_are_refused(state):
    facts = {**state["facts"], "world_size": 2, "network": "r18"}
    with pytest.raises(UserError, match="rank 1 was written with network r18, that of rank 0 smal"):
        merge_states(broken(state, facts=facts))
    one, two = broken(state)
    two["state_dict_backbone"]["fc.bias"][0] += 1
    with pytest.raises(UserError, match=r"rank 1 holds a backbone with hash [0-9a-f]{16}, that of"):
        merge_states([one, two])


def test_missing_parts_and_wrong_counts_are_refused(state):
    three = reshard_states([state], 3)
    with pytest.raises(UserError, match="no checkpoint parts were given; give those of all ranks"):
        check_parts([])
    with pytest.raises(
        UserError, match="2 checkpoint parts were found, but they were written by 3"
    ):
        merge_states(three[:2])
    for part in three:
        del part["facts"]["world_size"]
    with pytest.raises(UserError, match="parts hold 5 classes together, the run has 7; put the pa"):
        merge_states(three[:2])
    for part in three:
        del part["facts"]
    with pytest.raises(UserError, match="rank 0 holds 2 classes, expected 3 of 7 on 3 processes"):
        merge_states([three[1], three[0], three[2]])


@pytest.mark.parametrize("world_size", [0, 8])
def test_more_processes_than_classes_are_refused(world_size, state):
    with pytest.raises(UserError, match=f"has 7 classes and cannot be cut for {world_size} proc"):
        cut([state], 0, world_size)


def test_an_equal_batch_moves_nothing(state):
    assert move_to_batch(state, 42, 8, 8) is state


def test_a_larger_batch_counts_steps_by_the_images_seen(state):
    """100 images: 7 steps of 8 saw 56, which are 3 whole batches of 16; an epoch has 6 of them."""
    moved = move_to_batch(state | {"epoch": 2, "step": 7}, 100, 8, 16)
    assert (moved["step"], moved["global_step"]) == (3, 2 * 6 + 3)
    assert moved["state_lr_scheduler"]["last_epoch"] == 15
    assert moved["state_lr_scheduler"]["_step_count"] == 16
    assert moved["pending_gradients"] is None
    assert state["pending_gradients"] is not None


def test_a_smaller_batch_stays_within_the_epoch(state):
    """100 images: 12 steps of 8 saw 96, which are 13 of 7; an epoch has 14 of them."""
    moved = move_to_batch(state | {"epoch": 0, "step": 12}, 100, 8, 7)
    assert (moved["step"], moved["global_step"]) == (13, 13)


def test_states_of_arcface_torch_move_by_whole_epochs():
    theirs = {"epoch": 3, "global_step": 36, "state_lr_scheduler": {"last_epoch": 36}}
    moved = move_to_batch(theirs, 100, 8, 16)
    assert moved["global_step"] == moved["state_lr_scheduler"]["last_epoch"] == 18
    assert "step" not in moved
