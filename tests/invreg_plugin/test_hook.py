# SPDX-License-Identifier: MIT
import logging

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.record.writer import write_insightface_record
from arcface_fair.errors import UserError
from arcface_fair.hosts.embedded import Trainer, train
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.loading import load_plugin_modules
from arcface_fair.plugin.partition import Partition
from arcface_fair.plugin.parts import Penalty
from invreg_plugin.config import InvRegSettings
from invreg_plugin.hook import PartitionStages, stage_bar
from invreg_plugin.state import Partitions
from tests.small_data import picture, small_run, write_small_record


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
        written = Partition.read(output / "partitions" / f"stage_{stage}.tsv", 8)
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


def test_ground_truth_may_stand_beside_learned_partitions(record, tmp_path):
    output = train(
        invreg_run(record, tmp_path / "run", stages=(0, 1), partition=("table", "learned"))
    )
    partitions, state = partitions_of(output)
    assert partitions[0].tolist() == [0, 1, 0, 1, 255, 1, 0, 1]
    assert set(partitions[1].tolist()) == {0, 1}
    assert state["num_subsets"] == [2, 2]


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
    with pytest.raises(
        UserError,
        match=r"the group table has no attribute 'age'; it has race, gender: name",
    ):
        train(invreg_run(record, tmp_path / "b", stages=(0,), partition="table", attribute="age"))


# Stage 1 comes before the second epoch; nothing may have been trained or written by then.
NEVER = {"stages": (1,)}


def test_what_a_stage_would_refuse_is_refused_before_training(record, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UserError, match="8 identities with images cannot fill 9 subsets"):
        train(invreg_run(record, run, **NEVER, subsets=9))
    with pytest.raises(UserError, match="8 identities with images cannot fill 9 subsets"):
        train(invreg_run(record, run, **NEVER, subsets=9, partition="random"))
    with pytest.raises(
        UserError, match="the group table has no attribute 'age'; it has race, gender: name"
    ):
        train(invreg_run(record, run, **NEVER, partition="table", attribute="age"))
    with pytest.raises(UserError, match="lists epoch 2, but the run ends after epoch 1"):
        train(invreg_run(record, run, stages=(1, 2)))
    with pytest.raises(UserError, match="subsets is 1, expected at least 2"):
        train(invreg_run(record, run, **NEVER, subsets=1))
    assert not run.exists()


def record_of(folder, shots):
    images = [(picture(i, s), i) for i, count in enumerate(shots) for s in range(count)]
    write_insightface_record(folder, images, len(shots), 112)
    return folder


def test_identities_with_one_image_are_placed_counted_and_said(tmp_path):
    record = record_of(tmp_path / "record", [6, 1, 6, 1, 6, 6, 6, 6])
    output = train(invreg_run(record, tmp_path / "run", stages=(0,)))
    assert set(partitions_of(output)[0][0].tolist()) == {0, 1}
    log = (output / "training.log").read_text()
    assert "2 of 8 identities have one image" in log


def test_a_record_of_single_images_is_refused_but_takes_a_random_partition(tmp_path):
    record = record_of(tmp_path / "record", [1] * 8)
    with pytest.raises(UserError, match=r"none of 8 identities has two images.*'random' or"):
        train(invreg_run(record, tmp_path / "run", stages=(1,)))
    train(invreg_run(record, tmp_path / "run", stages=(1,), partition="random"))


def test_penalty_lambda_and_the_risk_of_every_subset_become_curves(record, tmp_path):
    output = train(invreg_run(record, tmp_path / "run", stages=(1,), partition="random"))
    curves = EventAccumulator(str(output / "tensorboard")).Reload()
    risks = {"invreg/risk_stage_1_a", "invreg/risk_stage_1_b"}
    assert risks | {"invreg/weight", "penalty/invreg"} <= set(curves.Tags()["scalars"])
    assert [p.step for p in curves.Scalars("invreg/weight")] == [*range(1, 13)]
    assert {point.value for point in curves.Scalars("invreg/weight")} == {np.float32(0.05)}
    by_step = [{p.step: p.value for p in curves.Scalars(tag)} for tag in sorted(risks)]
    assert [sorted(one) for one in by_step] == [[*range(7, 13)]] * 2
    losses = {p.step: p.value for p in curves.Scalars("train/loss")}
    penalty = {p.step: p.value for p in curves.Scalars("penalty/invreg")}
    for step in range(7, 13):
        # The pooled risk is a mean over the subsets' rows, so it lies between theirs.
        low, high = sorted(one[step] for one in by_step)
        assert low - 1e-4 <= losses[step] - 0.05 * penalty[step] <= high + 1e-4


def test_a_subset_that_a_batch_lacks_keeps_its_last_risk():
    partitions = Partitions(1, 3, torch.device("cpu"))
    partitions.put(0, torch.tensor([0, 1, 1], dtype=torch.uint8), 2, 0)
    hook = PartitionStages(InvRegSettings(stages=(0,)), partitions, Penalty("invreg", None))
    curves = {}

    class Batch:
        def __init__(self, labels, ce):
            self.loss_step = self
            self.batch_labels, self.ce = torch.tensor(labels), torch.tensor(ce)

        def log(self, tag, value):
            if tag.startswith("invreg/risk_stage_1_"):
                curves[tag[-1]] = float(value)

    hook.after_loss(Batch([0, 1, 2], [1.0, 2.0, 4.0]))
    assert curves == {"a": 1.0, "b": 3.0}
    hook.after_loss(Batch([1, 1], [5.0, 7.0]))
    assert curves == {"a": 1.0, "b": 6.0}


def test_the_bar_shows_steps_and_objective(capsys):
    with stage_bar("partition 2") as show:
        show(20, 40, 1.25)
        show(40, 40, 1.5)
    shown = capsys.readouterr().err
    assert "partition 2" in shown
    assert "objective 1.5000" in shown


def test_the_bar_ends_with_an_error_too(capsys):
    with pytest.raises(ValueError, match="stop"), stage_bar("partition 1"):
        raise ValueError("stop")
    assert capsys.readouterr().err.endswith("\r")
