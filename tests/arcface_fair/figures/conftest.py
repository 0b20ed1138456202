# SPDX-License-Identifier: MIT
"""One small run with two random partitions, kept networks and a group table, shared by all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from arcface_fair.data.groups import GroupTable
from arcface_fair.hosts.embedded import train
from tests.small_data import small_run, write_small_record


@pytest.fixture(scope="session")
def partitioned_run(tmp_path_factory) -> Path:
    """Output folder; 8 identities x 6 images in ../record, epochs 0 and 1 kept, stages 1 and 2."""
    folder = tmp_path_factory.mktemp("partitioned")
    record = write_small_record(folder / "record")
    GroupTable.of_words({"race": ["x", "x", "x", "y", "y", "y", "z", ""]}).write(
        record / "groups.tsv"
    )
    GroupTable.of_words({"hair": ["long", "short"] * 4}).write(record / "attributes.tsv")
    config = small_run(
        record,
        folder / "run",
        num_epoch=3,
        keep_epochs=1,
        plugins=["invreg_plugin"],
        invreg={"stages": (0, 1), "partition": "random"},
    )
    return train(config)


@pytest.fixture
def own_run(partitioned_run, tmp_path) -> Path:
    """A copy of that run to change; its record stays where it is."""
    return Path(shutil.copytree(partitioned_run, tmp_path / "run"))
