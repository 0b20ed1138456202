# SPDX-License-Identifier: MIT
"""Runs are read from their files; what does not fit ends in one sentence."""

import json

import pytest
import torch

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.figures import open_run
from arcface_fair.figures.run import backbone_of, moments
from arcface_fair.run.centres import class_centres
from arcface_fair.run.checkpoint import keep_model, kept_centres_path


def test_stages_tables_and_record_of_a_run_are_found(partitioned_run):
    run = open_run(partitioned_run)
    assert [stage.number for stage in run.stages] == [1, 2]
    assert [stage.sizes for stage in run.stages] == [[4, 4], [4, 4]]
    assert run.stages[0].subset.names == ("a", "b")
    assert run.stages[0].confidence.tolist() == [1.0] * 8
    assert list(run.groups) == ["race"]
    assert list(run.attributes) == ["race", "hair"]
    assert (run.group_name, run.grouped, run.num_classes) == ("race", True, 8)
    assert run.images_of(2).tolist() == list(range(36, 42))  # identity 6, six images each


def test_any_known_column_may_group_the_pictures(partitioned_run):
    run = open_run(partitioned_run, group="hair")
    assert run.group.names == ("long", "short")
    with pytest.raises(UserError, match=r"no group column 'age'; known: race, hair\. Name one"):
        open_run(partitioned_run, group="age")


def test_without_a_table_the_newest_partition_groups_the_pictures(own_run, tmp_path):
    config = json.loads((own_run / "config.json").read_text())
    (tmp_path / "bare").mkdir()
    (own_run / "config.json").write_text(json.dumps({**config, "rec": str(tmp_path / "bare")}))
    run = open_run(own_run)
    assert (run.group_name, run.grouped) == ("stage 2 subset", False)
    assert run.group is run.stages[1].subset
    assert run.attributes == {}


def test_further_tables_are_read_in_place_of_the_one_beside_the_record(partitioned_run, tmp_path):
    GroupTable.of_words({"pose": ["left"] * 8}).write(tmp_path / "pose.tsv")
    run = open_run(partitioned_run, attributes=[tmp_path / "pose.tsv"])
    assert list(run.attributes) == ["race", "pose"]


def test_a_column_in_which_nothing_is_known_counts_as_absent(partitioned_run, tmp_path):
    GroupTable.of_words({"race": [""] * 8, "hair": ["long"] * 8}).write(tmp_path / "g.tsv")
    assert list(open_run(partitioned_run, groups=tmp_path / "g.tsv").groups) == ["hair"]


def test_a_record_that_is_gone_is_named_once_it_is_needed(own_run, tmp_path):
    config = json.loads((own_run / "config.json").read_text())
    (own_run / "config.json").write_text(json.dumps({**config, "rec": str(tmp_path / "gone")}))
    run = open_run(own_run)
    with pytest.raises(UserError, match="gone is not here; give its folder with --rec, or run"):
        _ = run.dataset


def test_a_folder_without_partitions_or_config_is_refused(own_run, tmp_path):
    with pytest.raises(UserError, match=r"has no partitions/stage_1.tsv, expected the folder of"):
        open_run(tmp_path)
    (own_run / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config.json names no num_classes"):
        open_run(own_run)


def test_a_confidence_that_is_no_percentage_is_refused(own_run):
    path = own_run / "partitions" / "stage_1.tsv"
    path.write_text(path.read_text().replace("100.00%", "sure", 1))
    with pytest.raises(
        UserError, match=r"stage_1.tsv, line of identity \d: confidence is 'sure', expected a perc"
    ):
        open_run(own_run)


def test_a_run_keeps_the_networks_it_was_asked_to(partitioned_run):
    found = list(moments(partitioned_run, 3))
    assert [(m.epoch, m.last) for m in found] == [(0, False), (1, False), (2, True)]
    assert [m.name for m in found] == ["after epoch 0", "after epoch 1", "after epoch 2 (last)"]
    first, last = found[0], found[-1]
    weights = [backbone_of(partitioned_run, m).fc.weight for m in (first, last)]
    assert not torch.equal(*weights)
    centres = [class_centres(partitioned_run, 1, epoch) for epoch in (0, None)]
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
    assert class_centres(own_run, 2, 0) is None
    path = kept_centres_path(own_run, 0, 1)
    torch.save({"weight": torch.full((2, 16), 5.0)}, path)
    joined = class_centres(own_run, 2, 0)
    assert joined.shape == (10, 16)
    assert (joined[8:] == 5).all()
    (own_run / "checkpoint_gpu_0.pt").unlink()
    assert class_centres(own_run, 1) is None
    path.write_bytes(b"no tensors")
    with pytest.raises(UserError, match=r"centres_epoch_0_gpu_1.pt cannot be read as class centr"):
        class_centres(own_run, 2, 0)
