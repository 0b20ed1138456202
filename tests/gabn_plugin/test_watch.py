# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from arcface_fair.attention.gradient_maps import Attention
from gabn_plugin.watch import AttentionWatch


def watch_of(names: tuple[str, ...], folder: Any) -> tuple[AttentionWatch, Any]:
    curves: dict[str, float] = {}
    session: Any = SimpleNamespace(
        run=SimpleNamespace(device=torch.device("cpu"), work_dir=folder),
        epoch=0, global_step=7, curves=curves,
    )  # fmt: skip
    session.log = lambda tag, value: curves.update({tag: float(value.mean())})
    return AttentionWatch(names, session), session


def seen(maps: Tensor) -> Attention:
    return Attention(maps[:, None], maps, torch.zeros(len(maps), 1), torch.zeros(len(maps)))


def test_a_groups_map_is_the_mean_over_the_epoch_of_maps_by_their_mean(tmp_path):
    watch, session = watch_of(("a", "b", "c"), tmp_path)
    flat, spot = torch.full((4, 4), 9.0), torch.zeros(4, 4)
    spot[0, 0] = 5.0
    watch.see(seen(torch.stack([flat, spot])), torch.tensor([0, 0]))
    watch.see(seen(torch.stack([spot, flat, spot])), torch.tensor([1, -1, 0]))
    watch.after_epoch(session)
    found = np.load(tmp_path / "gabn" / "maps_epoch_1.npz")
    assert found["names"].tolist() == ["a", "b"]  # nobody of c was seen
    assert found["images"].tolist() == [3, 1]
    assert found["maps"][1, 0, 0] == pytest.approx(16)
    assert found["maps"][0, 0, 0] == pytest.approx((1 + 16 + 16) / 3)
    (tmp_path / "gabn" / "maps_epoch_1.npz").unlink()
    watch.after_epoch(session)  # the next epoch starts from nothing
    assert not list((tmp_path / "gabn").iterdir())


def test_maps_of_nobody_known_write_nothing(tmp_path):
    watch, session = watch_of(("a", "b"), tmp_path)
    watch.see(seen(torch.rand(2, 4, 4)), torch.tensor([-1, -1]))
    watch.after_epoch(session)
    assert not (tmp_path / "gabn").exists()


def test_confidence_is_each_groups_recent_mean(tmp_path):
    watch, session = watch_of(("a", "b"), tmp_path)
    watch.see_confidence(torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0, 0, -1]))
    assert session.curves["gabn/confidence/a"] == pytest.approx(0.3)
    assert session.curves["gabn/confidence/b"] == 0
    for _ in range(500):
        watch.see_confidence(torch.tensor([0.8, 0.6]), torch.tensor([0, 1]))
    assert session.curves["gabn/confidence/a"] == pytest.approx(0.8, abs=1e-3)
    assert session.curves["gabn/confidence/b"] == pytest.approx(0.6, abs=1e-6)


def test_without_groups_nothing_is_kept(tmp_path):
    watch, session = watch_of((), tmp_path)
    watch.see(seen(torch.rand(2, 4, 4)), torch.tensor([-1, -1]))
    watch.see_confidence(torch.rand(2), torch.tensor([-1, -1]))
    watch.after_epoch(session)
    assert session.curves == {}
