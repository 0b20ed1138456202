# SPDX-License-Identifier: MIT
"""The feature store: resumable, bounded in memory, never another model's features."""

import errno
import logging
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from arcface_fair import dist
from arcface_fair.errors import UserError
from invreg_plugin.features import FeatureStore, fingerprint
from tests.ranks import RankError, run_ranks


def rows(count: int, dim: int = 8, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal((count, dim))
    return values.astype(np.float16).astype(np.float32)


def test_rows_read_back_in_any_order(tmp_path):
    values = rows(50)
    with FeatureStore.create(tmp_path / "f", 50, 8, "model") as store:
        store.write(20, torch.from_numpy(values[20:]))
        store.write(0, values[:20])
        assert not len(store.missing())
    positions = np.array([49, 0, 7, 7, 23])
    with FeatureStore.open(tmp_path / "f", "model") as store:
        assert store.shape == (50, 8)
        read = store.read(positions)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values[positions])


def test_the_file_holds_two_bytes_a_number(tmp_path):
    FeatureStore.create(tmp_path / "f", 1000, 64, "model").close()
    assert (tmp_path / "f").stat().st_size == 4096 + 1000 * (64 * 2 + 1)


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path):
    values = rows(30)
    with FeatureStore.create(tmp_path / "f", 30, 8, "model") as store:
        store.write(10, values[10:15])
        assert len(store.missing())
    with FeatureStore.create(tmp_path / "f", 30, 8, "model") as store:
        assert store.missing().tolist() == [*range(10), *range(15, 30)]
        assert store.missing(12, 17).tolist() == [15, 16]
        store.write(0, values[:10])
        store.write(15, values[15:])
        assert not len(store.missing())
        np.testing.assert_array_equal(store.read(np.arange(30)), values)


@pytest.mark.parametrize("other", [(30, 8, "later model"), (31, 8, "model"), (30, 9, "model")])
def test_a_cache_of_another_model_or_record_is_said_and_not_used(tmp_path, caplog, other):
    with FeatureStore.create(tmp_path / "f", 30, 8, "model") as store:
        store.write(0, rows(30))
    with (
        caplog.at_level(logging.WARNING),
        FeatureStore.create(tmp_path / "f", *other) as store,
    ):
        assert len(store.missing()) == other[0]
    assert "features of another model or record, or is damaged: not used" in caplog.text


def test_opening_a_cache_of_another_model_is_refused(tmp_path):
    FeatureStore.create(tmp_path / "f", 3, 8, "model").close()
    with pytest.raises(UserError, match=r"holds features of another model or record \(model\)"):
        FeatureStore.open(tmp_path / "f", "later model")


def test_a_cut_or_foreign_file_is_refused_and_replaced(tmp_path):
    path = tmp_path / "f"
    FeatureStore.create(path, 30, 8, "model").close()
    os.truncate(path, 4096 + 100)
    with pytest.raises(UserError, match="is not a whole feature file"):
        FeatureStore.open(path, "model")
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="is not a whole feature file"):
        FeatureStore.open(path, "model")
    with FeatureStore.create(path, 30, 8, "model") as store:
        assert len(store.missing()) == 30


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UserError, match="there is no feature file"):
        FeatureStore.open(tmp_path / "none", "model")


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_features_that_float16_cannot_hold_name_the_image(tmp_path, bad):
    values = rows(4)
    values[2, 3] = bad
    with (
        FeatureStore.create(tmp_path / "f", 30, 8, "model") as store,
        pytest.raises(UserError, match="the feature of image 12 is not a finite float16 number"),
    ):
        store.write(10, values)


@pytest.fixture
def _files_end_at_64_kib():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("_files_end_at_64_kib")
def test_a_disk_without_room_is_said_at_the_start_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match=r"the disk is full: .* needs 1 MiB"):
        FeatureStore.create(tmp_path / "f", 10000, 64, "model")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_later_leaves_nothing(tmp_path, monkeypatch):
    store = FeatureStore.create(tmp_path / "f", 30, 8, "model")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store, "_put", full)
    with pytest.raises(UserError, match="the disk is full"):
        store.write(0, rows(30))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .* choose another folder"):
        FeatureStore.create(tmp_path / "file" / "f", 30, 8, "model")


def resident_bytes() -> int:
    text = Path("/proc/self/status").read_text()
    return sum(int(text.split(f"{kind}:")[1].split()[0]) * 1024 for kind in ("RssFile", "RssAnon"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to count pages")
def test_reading_every_row_keeps_none_of_the_file_in_memory(tmp_path):
    count, dim = 32768, 512  # 32 MiB on disk
    with FeatureStore.create(tmp_path / "f", count, dim, "model") as store:
        block = rows(1024, dim)
        for start in range(0, count, 1024):
            store.write(start, block)
        store.read(np.arange(0, count, 64))
        before = resident_bytes()
        for part in np.array_split(np.random.default_rng(0).permutation(count), 64):
            assert np.isfinite(store.read(part)).all()
        assert resident_bytes() - before <= 8 * 2**20


def test_a_file_cut_while_in_use_is_said(tmp_path):
    with FeatureStore.create(tmp_path / "f", 30, 8, "model") as store:
        os.truncate(tmp_path / "f", 4096 + 100)
        with pytest.raises(UserError, match=r"ends before byte .* changed while in use"):
            store.read(np.arange(30))


def test_the_fingerprint_notices_every_change():
    tensors = [torch.arange(4.0), torch.tensor(3)]
    same = fingerprint([t.clone() for t in tensors], "record", 10)
    assert fingerprint(tensors, "record", 10) == same
    others = {
        fingerprint([tensors[0] + 1e-6, tensors[1]], "record", 10),
        fingerprint([tensors[0].view(2, 2), tensors[1]], "record", 10),
        fingerprint([tensors[0].double(), tensors[1]], "record", 10),
        fingerprint(tensors, "record", 11),
        fingerprint(tensors, "other", 10),
        fingerprint([torch.ones(2, dtype=torch.bfloat16)]),
    }
    assert len(others | {same}) == 7


def fill_share(folder: str) -> tuple[bool, np.ndarray]:
    with FeatureStore.create(Path(folder) / "f", 31, 8, "model") as store:
        share = np.array_split(np.arange(31), dist.world_size())[dist.rank()]
        store.write(int(share[0]), rows(31)[share])
        dist.barrier()
        return not len(store.missing()), store.read(np.arange(31))


def test_ranks_fill_one_file_together(tmp_path):
    for complete, values in run_ranks(2, fill_share, str(tmp_path)):
        assert complete
        np.testing.assert_array_equal(values, rows(31))


def create_where_rank_1_does_not_look(folder: str) -> None:
    FeatureStore.create(Path(folder) / str(dist.rank()), 31, 8, "model")


def test_a_folder_that_machines_do_not_share_is_said_on_every_rank(tmp_path):
    with pytest.raises(RankError, match="rank 1 does not see the feature file") as raised:
        run_ranks(2, create_where_rank_1_does_not_look, str(tmp_path))
    assert "failed on rank(s) [0, 1]" in str(raised.value)
