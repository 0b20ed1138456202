# SPDX-License-Identifier: MIT
"""Where the partition comes from, and what is refused or said about it."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.hosts.embedded import train
from tests.contrast_plugin.runs import (
    OPEN,
    batches_before_and_after,
    learned,
    run_config,
    saved,
    trainer_of,
)
from tests.small_data import write_small_record


def test_the_newest_published_partition_is_taken_and_kept(record, tmp_path):
    config = learned(record, tmp_path / "run", {}, invreg={"stages": (0, 1, 2)}, num_epoch=4)
    output = train(config)
    stages = torch.load(output / "checkpoint_gpu_0.pt", weights_only=True)["plugins"]["invreg"]
    found = saved(output)["found"]
    second, third = stages["partitions"][1], stages["partitions"][2]
    assert torch.equal(found["subset"], third)  # the map is drawn before epoch 2 of 4
    assert not torch.equal(second, third)


def test_a_partition_may_be_a_file_of_another_run(record, tmp_path):
    output = train(learned(record, tmp_path / "first", {}, num_epoch=2))
    file = output / "partitions" / "stage_1.tsv"
    other = train(
        run_config(record, tmp_path / "second", {**OPEN, "partition": str(file), "maps": 4})
    )
    assert torch.equal(saved(other)["found"]["subset"], saved(output)["found"]["subset"])


def test_a_shuffled_partition_has_the_learned_sizes_and_other_members(record, tmp_path):
    subsets = []
    for kind in ("learned", "shuffled"):
        output = train(learned(record, tmp_path / kind, {}, invreg={"partition": kind}))
        subsets.append(saved(output)["found"]["subset"])
    assert sorted(subsets[0].tolist()) == sorted(subsets[1].tolist())
    assert not torch.equal(*subsets)


@pytest.mark.parametrize(
    ("contrast", "changes", "message"),
    [
        ({**OPEN, "attribute": "all"}, {}, "column 'all' has only the subset 'x' among the ident"),
        ({**OPEN, "attribute": "none"}, {}, "column 'none' has no subset among the identities"),
        ({**OPEN, "attribute": "rare"}, {}, r"subset 'b' has 6 images, expected at least "
                                            r"contrast.maps = 8; lower contrast.maps"),
        ({**OPEN, "attribute": "hat"}, {}, "the group table has no attribute 'hat'"),
        ({"partition": "stage_9.tsv"}, {}, "contrast.partition is 'stage_9.tsv', expected "
                                           "'session', 'table' or an existing file"),
        ({"start": 1.0}, {}, "contrast.start is 1, so that the map would be drawn after the "
                             "last of 2 epochs"),
        ({}, {"batch_size": 1}, "contrast.fill is 'batch' with batch_size = 1, expected at "
                                "least two images per process"),
        ({}, {}, "'session' but no plugin of this run makes partitions; put one that does before"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_the_first_step(
    record, tmp_path, contrast, changes, message
):
    with pytest.raises(UserError, match=message):
        train(run_config(record, tmp_path / "run", contrast, **changes))


def test_a_table_that_is_not_there_is_refused(tmp_path):
    bare = write_small_record(tmp_path)
    with pytest.raises(UserError, match="is 'table' but the run has no group table; set config"):
        train(run_config(bare, tmp_path / "run", OPEN))


def test_a_column_with_too_many_words_is_refused(tmp_path):
    folder = write_small_record(tmp_path, identities=256, shots=1)
    words = {"name_": [f"p{i}" for i in range(256)]}
    GroupTable.of_words(words).write(folder / "groups.tsv")
    with pytest.raises(UserError, match="has 256 different words, expected at most 254 subsets"):
        train(run_config(folder, tmp_path / "run", {**OPEN, "maps": 1}))


def test_a_partition_that_comes_too_late_is_refused(record, tmp_path):
    config = learned(record, tmp_path / "run", {"start": 0.0})
    with pytest.raises(UserError, match="invreg makes its first partition before epoch 1, but "):
        train(config)
    config = learned(record, tmp_path / "run", {}, invreg={"stages": ()})
    with pytest.raises(UserError, match="invreg makes its first partition before epoch None"):
        train(config)


def test_plugins_in_the_wrong_order_are_refused(record, tmp_path):
    config = learned(record, tmp_path / "run", {})
    config["plugins"].reverse()
    with pytest.raises(
        UserError, match=r"config.plugins lists contrast before invreg, whose partition"
    ):
        train(config)


# What a run learned and cannot use closes the gate, and is said.


def test_a_learned_subset_smaller_than_the_maps_closes_the_gate(record, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "arcface_fair"):
        output = train(learned(record, tmp_path / "run", {"maps": 40}))
    assert "fewer than contrast.maps = 40" in caplog.text
    assert saved(output)["found"]["acts"] is False


def test_a_published_partition_with_one_subset_closes_the_gate(record, tmp_path, caplog):
    config = learned(record, tmp_path / "run", {})
    trainer = trainer_of(config)
    real = trainer.session.plugins[0].hooks[0].before_epoch

    def collapse(session: Any) -> None:
        real(session)
        if session.epoch == 1:
            session.shared["identity_partition"] = np.zeros(8, np.uint8)

    trainer.session.plugins[0].hooks[0].before_epoch = collapse  # type: ignore[method-assign]
    with caplog.at_level(logging.INFO, "arcface_fair"):
        trainer.fit()
    assert "nothing is erased, the partition has fewer than two subsets" in caplog.text


def test_a_statistic_at_the_gates_edge_is_said(record, tmp_path, caplog):
    output = train(run_config(record, tmp_path / "first", OPEN))
    found = saved(output)["found"]
    caplog.clear()
    gate = max(found["difference"] - found["doubt"], 1e-4)
    train(run_config(record, tmp_path / "edge", {**OPEN, "gate": gate}))
    assert "is within two standard errors" in caplog.text
    caplog.clear()
    train(run_config(record, tmp_path / "far", {**OPEN, "gate": 2.0}))
    assert "standard errors" not in caplog.text


def test_batches_without_a_reference_image_are_counted_and_said(record, tmp_path, caplog):
    config = run_config(record, tmp_path / "run", {**OPEN, "fill": "reference"}, batch_size=2)
    _, seen = batches_before_and_after(config)
    found = saved(tmp_path / "run")["found"]
    subset = found["subset"]
    lacking = sum(
        not bool(((subset[labels] != 255) & (subset[labels] != found["easy"])).any())
        for epoch, _, labels, _ in seen
        if epoch == 1
    )
    assert lacking > 0
    easy = found["names"][found["easy"]]
    assert f"{lacking} of 24 batches held no image outside subset {easy}" in caplog.text
