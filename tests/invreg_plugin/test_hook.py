# SPDX-License-Identifier: MIT
import logging

import numpy as np
import pytest
import torch

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.plugins import load_plugin_modules
from arcface_fair.trainer import Trainer, train
from arcface_fair.trainer.settings import parse_run
from invreg_plugin.tables import read_partition_tsv
from tests.small_data import small_run, write_small_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = write_small_record(tmp_path_factory.mktemp("record"))
    groups = ["a", "b", "a", "b", "", "b", "a", "b"]
    GroupTable.of_words({"race": groups, "gender": ["f"] * 4 + ["m"] * 4}).write(
        folder / "groups.tsv"
    )
    return folder


def invreg_run(record, output, **block):
    return small_run(record, output, plugins=["invreg_plugin"], invreg=block)


def partitions_of(folder):
    state = torch.load(folder / "checkpoint_gpu_0.pt", weights_only=True)["plugins"]["invreg"]
    return state["partitions"], state


def test_learned_stages_come_at_their_epochs_and_all_stay_in_force(record, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "arcface_fair"):
        output = train(invreg_run(record, tmp_path / "run", stages=(0, 1)))
    partitions, state = partitions_of(output)
    assert partitions.shape == (2, 8)
    assert state["num_subsets"] == [2, 2]
    assert state["seeds"] == [3, 4]
    for stage in (1, 2):
        written = read_partition_tsv(output / "partitions" / f"stage_{stage}.tsv", 8)
        np.testing.assert_array_equal(written.subset, partitions[stage - 1].numpy())
    told = caplog.text
    assert "stage 1: subsets of" in told
    assert "stage 2 against stage 1: NMI" in told
    assert "stage 1 against race: NMI" in told
    assert "stage 2 against gender: NMI" in told
    assert not (output / "features.bin").exists()


def test_random_partitions_need_no_features_and_differ_by_stage(record, tmp_path):
    output = train(invreg_run(record, tmp_path / "run", stages=(0, 1), partition="random"))
    partitions, _ = partitions_of(output)
    assert partitions.sum(1).tolist() == [4, 4]
    assert partitions[0].tolist() != partitions[1].tolist()


def test_ground_truth_partitions_come_from_the_group_table(record, tmp_path):
    output = train(invreg_run(record, tmp_path / "run", stages=(0,), partition="table"))
    assert partitions_of(output)[0].tolist() == [[0, 1, 0, 1, 255, 1, 0, 1]]
    other = train(
        invreg_run(record, tmp_path / "two", stages=(0,), partition="table", attribute="gender")
    )
    assert partitions_of(other)[0].tolist() == [[0] * 4 + [1] * 4]


def test_a_stage_that_was_missed_is_made_when_the_run_goes_on(record, tmp_path):
    train(small_run(record, tmp_path / "run", num_epoch=2))
    resumed = invreg_run(record, tmp_path / "run", stages=(1,), partition="random")
    output = train({**resumed, "num_epoch": 3, "resume": True})
    assert partitions_of(output)[1]["num_subsets"] == [2]


def test_a_partition_changes_the_loss_and_weight_zero_does_not(record, tmp_path):
    def weights(name, **block):
        run = invreg_run(record, tmp_path / name, stages=(0,), partition="random", **block)
        return torch.load(train(run) / "model.pt", weights_only=True)

    plain = torch.load(train(small_run(record, tmp_path / "plain")) / "model.pt", weights_only=True)
    off, on = weights("off", weight=0.0), weights("on", weight=0.5)
    assert all(torch.equal(plain[name], off[name]) for name in plain)
    assert any(not torch.equal(plain[name], on[name]) for name in plain)


def test_the_newest_partition_is_published_for_other_plugins(record, tmp_path):
    config = invreg_run(record, tmp_path / "run", stages=(0,), partition="random")
    run, _ = parse_run(config, {"invreg"})
    trainer = Trainer(run, config, load_plugin_modules(run.plugins), torch.device("cpu"))
    trainer.fit()
    published = trainer.session.shared["identity_partition"]
    np.testing.assert_array_equal(published, partitions_of(trainer.output)[0][0].numpy())


def test_tables_that_are_not_there_are_named(record, tmp_path):
    bare = write_small_record(tmp_path / "bare")
    with pytest.raises(UserError, match=r"is 'table' but the run has no group table; set config"):
        train(invreg_run(bare, tmp_path / "a", stages=(0,), partition="table"))
    with pytest.raises(UserError, match=r"is 'age', but the group table has the columns race, gen"):
        train(invreg_run(record, tmp_path / "b", stages=(0,), partition="table", attribute="age"))


def test_more_subsets_than_identities_are_refused_before_training(record, tmp_path):
    with pytest.raises(UserError, match="8 identities with images cannot fill 9 subsets"):
        train(invreg_run(record, tmp_path / "run", stages=(0,), subsets=9))
