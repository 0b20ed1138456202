# SPDX-License-Identifier: MIT
"""Features are those of rank 0's network, of plain images, each extracted once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.backbones import get_model
from arcface_fair.data.training.dataset import open_dataset, to_input
from arcface_fair.errors import UserError
from invreg_plugin.extraction import extract_features, runs_of_neighbours
from tests.ranks import RankError, run_ranks
from tests.small_data import write_small_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"), identities=5, shots=3)


def make_session(record, batch_size=4):
    torch.manual_seed(0)
    backbone = get_model("small", num_features=8).train()
    with torch.no_grad():
        for buffer in backbone.buffers():
            if buffer.is_floating_point():
                # Every rank has its own BatchNorm statistics, as training leaves them.
                buffer.add_(0.2 + 0.1 * dist.rank())
    run = SimpleNamespace(
        dataset=open_dataset(record),
        batch_size=batch_size,
        num_workers=0,
        device=torch.device("cpu"),
        skip_bad_images=False,
    )
    head = SimpleNamespace(weight=torch.zeros(5, 8))
    return SimpleNamespace(backbone=backbone, head=head, run=run)


def directly(session, flip=False):
    images = [session.run.dataset.read(place) for place in range(session.run.dataset.num_images)]
    faces = to_input(torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()))
    modes = [part.training for part in session.backbone.modules()]
    with torch.no_grad():
        session.backbone.eval()
        found = session.backbone(faces)
        if flip:
            found = found + session.backbone(faces.flip(3))
    for part, training in zip(session.backbone.modules(), modes, strict=True):
        part.training = training
    return normalize(found).numpy()


@pytest.mark.parametrize("flip", [False, True])
def test_features_are_those_of_the_network_in_evaluation(record, tmp_path, flip):
    session = make_session(record)
    with extract_features(session, tmp_path / "f", flip_average=flip) as features:
        np.testing.assert_allclose(features.read(np.arange(15)), directly(session, flip), atol=1e-3)
    assert all(part.training for part in session.backbone.modules())


def test_a_changed_network_or_the_other_flip_setting_extracts_anew(record, tmp_path, caplog):
    session = make_session(record)
    extract_features(session, tmp_path / "f", flip_average=False).close()
    assert "not used" not in caplog.text
    extract_features(session, tmp_path / "f", flip_average=True).close()
    assert caplog.text.count("not used") == 1
    with torch.no_grad():
        session.backbone.fc.bias[0] += 1
    with extract_features(session, tmp_path / "f", flip_average=True) as features:
        np.testing.assert_allclose(features.read(np.arange(15)), directly(session, True), atol=1e-3)
    assert caplog.text.count("not used") == 2


def test_batches_are_runs_of_neighbours():
    runs = runs_of_neighbours(np.array([0, 1, 2, 5, 6, 9]), 2)
    assert [run.tolist() for run in runs] == [[0, 1], [2], [5, 6], [9]]


def extract_on_ranks(record: str, path: str) -> tuple[np.ndarray, np.ndarray, float]:
    session = make_session(Path(record))
    before = float(session.backbone.features.running_mean[0])
    with extract_features(session, Path(path), flip_average=False) as features:
        found = features.read(np.arange(15))
    after = float(session.backbone.features.running_mean[0])
    assert before == after  # a rank's own statistics are back
    return found, directly(session), after


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_extract_one_networks_features_and_keep_their_statistics(
    record, tmp_path, world_size
):
    results = run_ranks(world_size, extract_on_ranks, str(record), str(tmp_path / "f"))
    first, of_rank_0, _ = results[0]
    np.testing.assert_allclose(first, of_rank_0, atol=1e-3)
    for found, own, _ in results[1:]:
        np.testing.assert_array_equal(found, first)
        assert np.abs(own - first).max() > 0.01


def fail_on_rank_1(record: str, path: str) -> None:
    session = make_session(Path(record))
    if dist.rank() == 1:
        read = session.run.dataset.read

        def broken(position: int) -> np.ndarray:
            if position == 12:
                raise UserError("record 13 is of no use")
            return read(position)

        session.run.dataset.read = broken
    extract_features(session, Path(path), flip_average=False)


def test_what_one_rank_meets_all_ranks_raise(record, tmp_path):
    with pytest.raises(RankError, match="record 13 is of no use") as raised:
        run_ranks(2, fail_on_rank_1, str(record), str(tmp_path / "f"))
    assert "failed on rank(s) [0, 1]" in str(raised.value)
