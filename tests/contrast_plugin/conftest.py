# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest

from arcface_fair.data.groups import GroupTable
from tests.contrast_plugin.runs import WORDS
from tests.small_data import write_small_record


@pytest.fixture(scope="session")
def record(tmp_path_factory) -> Path:
    folder = write_small_record(tmp_path_factory.mktemp("record"))
    words = {"race": WORDS, "all": ["x"] * 8, "none": [""] * 8, "rare": ["a"] * 7 + ["b"]}
    GroupTable.of_words(words).write(folder / "groups.tsv")
    return folder
