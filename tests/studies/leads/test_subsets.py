# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from studies.leads.subsets import IdentityGroups

TABLE = GroupTable.of_words({"race": ["b", "a", "", "a"], "gender": ["f", "m", "f", "m"]})


def session(table: GroupTable | None = TABLE, **shared: Any) -> Any:
    fake = SimpleNamespace(
        num_classes=4, device=torch.device("cpu"), shared=shared, group_table=table,
        group_attribute=None if table is None else "race",
    )  # fmt: skip
    fake.run = fake
    return fake


def test_groups_of_the_table_are_those_of_the_chosen_column():
    race = IdentityGroups("table", None, session())
    assert race.codes.tolist() == TABLE["race"].codes.tolist()
    assert (race.count, race.sizes().tolist()) == (2, [2, 1])
    assert race.of_batch(torch.tensor([2, 0])).tolist() == [-1, race.codes[0]]
    gender = IdentityGroups("table", "gender", session())
    assert gender.codes.tolist() == TABLE["gender"].codes.tolist()


def test_groups_of_the_session_are_the_newest_published():
    run = session()
    groups = IdentityGroups("session", None, run)
    assert not groups.refresh(run)
    assert groups.count == 0
    run.shared["identity_partition"] = np.array([0, 1, 255, 1], np.uint8)
    assert groups.refresh(run)
    assert groups.codes.tolist() == [0, 1, -1, 1]
    assert not groups.refresh(run), "the same partition is not news"
    run.shared["identity_partition"] = np.array([2, 1, 0, 1], np.uint8)
    assert groups.refresh(run)
    assert groups.count == 3


def test_state_comes_back_and_is_not_taken_for_news():
    run = session(identity_partition=np.array([0, 1, 255, 1], np.uint8))
    groups, again = (IdentityGroups("session", None, run) for _ in range(2))
    groups.refresh(run)
    again.load_state_dict(groups.state_dict())
    assert again.codes.tolist() == [0, 1, -1, 1]
    assert not again.refresh(run)
    with pytest.raises(UserError, match="groups are of 3 identities, this run has 4; resume with"):
        again.load_state_dict({"codes": torch.zeros(3, dtype=torch.int64), "count": 1})


def test_no_table_and_no_such_column_are_said():
    with pytest.raises(UserError, match="come from 'table' but the run has no group table; set"):
        IdentityGroups("table", None, session(None))
    with pytest.raises(UserError, match="attribute is 'age', but the group table has the columns"):
        IdentityGroups("table", "age", session())
