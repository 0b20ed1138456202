# SPDX-License-Identifier: MIT
import pytest
import torch

from arcface_fair.errors import UserError
from invreg_plugin.state import Partitions

CPU = torch.device("cpu")


def some_partitions():
    partitions = Partitions(3, 4, CPU)
    partitions.put(0, torch.tensor([0, 1, 255, 1], dtype=torch.uint8), 2, seed=5)
    partitions.put(2, torch.tensor([2, 0, 1, 1], dtype=torch.uint8), 3, seed=7)
    return partitions


def test_rows_of_a_batch_get_their_subsets_in_every_learned_partition():
    subsets = some_partitions().of_batch(torch.tensor([3, 2, 0, 0]))
    assert subsets.tolist() == [[1, -1, 0, 0], [1, 1, 2, 2]]


def test_without_a_partition_there_are_no_rows_and_k_is_two():
    partitions = Partitions(3, 4, CPU)
    assert partitions.of_batch(torch.tensor([0, 1])).shape == (0, 2)
    assert partitions.largest == 2
    assert some_partitions().largest == 3


def test_state_comes_back_and_further_stages_stay_unlearned():
    saved = some_partitions().state_dict()
    assert saved["partitions"].dtype == torch.uint8
    restored = Partitions(5, 4, CPU)
    restored.load_state_dict(saved)
    assert [restored.learned(stage) for stage in range(5)] == [True, False, True, False, False]
    assert torch.equal(restored.subset[:3], saved["partitions"])
    assert set(restored.subset[3:].flatten().tolist()) == {255}
    assert restored.seeds == [5, 0, 7, 0, 0]


def test_a_state_of_another_record_or_of_more_stages_is_refused():
    saved = some_partitions().state_dict()
    with pytest.raises(UserError, match=r"partitions are of 4 identities, this run has 9; resume"):
        Partitions(3, 9, CPU).load_state_dict(saved)
    with pytest.raises(UserError, match=r"holds 3 partitions, invreg.stages lists 2; keep the st"):
        Partitions(2, 4, CPU).load_state_dict(saved)
