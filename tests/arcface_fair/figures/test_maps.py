# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from arcface_fair.attention.gradient_maps import attend, plain_margin
from arcface_fair.cli import main
from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.export import load_backbone
from arcface_fair.figures.maps import attention_maps, group_map, write_maps
from arcface_fair.hosts.embedded import train
from arcface_fair.run.centres import load_head
from tests.small_data import small_run, write_small_record


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = write_small_record(tmp_path_factory.mktemp("record"))
    words = ["b", "a", "b", "", "a", "b", "b", "a"]
    GroupTable.of_words({"race": words}).write(folder / "groups.tsv")
    return train(small_run(folder, folder / "run", num_epoch=1))


def config_of(run: Path) -> dict:
    return json.loads((run / "config.json").read_text())


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 112, 112, 3), np.uint8)


def test_a_map_depends_on_its_own_image_alone(run):
    backbone, head = load_backbone(run), load_head(run, config_of(run))
    images = faces(5)
    maps = attention_maps(backbone, head, images, batch_size=2)
    assert maps.shape == (5, 112, 112)
    alone = attention_maps(backbone, head, images[3:4])
    np.testing.assert_allclose(maps[3:4], alone, rtol=1e-3, atol=1e-6 * alone.max())
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    margin = plain_margin(head.margin_softmax)
    seen = attend(backbone.eval(), head, inputs, torch.zeros(5, dtype=torch.int64), margin=margin)
    np.testing.assert_allclose(maps, seen.maps, rtol=1e-3, atol=1e-6 * maps.max())


def test_the_modes_of_the_network_come_back(run):
    backbone = load_backbone(run).train()
    backbone.block1.eval()
    attention_maps(backbone, load_head(run, config_of(run)), faces(1))
    assert backbone.training
    assert not backbone.block1.training


def test_the_head_is_joined_from_all_ranks(run, tmp_path):
    whole = load_head(run, config_of(run)).weight.detach()
    state = torch.load(run / "checkpoint_gpu_0.pt", weights_only=True)
    for rank, part in enumerate(whole.split([5, 3])):
        state["state_dict_softmax_fc"] = {"weight": part.clone()}
        torch.save(state, tmp_path / f"checkpoint_gpu_{rank}.pt")
    config = {**config_of(run), "world_size": 2}
    assert torch.equal(load_head(tmp_path, config).weight, whole)
    (tmp_path / "checkpoint_gpu_1.pt").unlink()
    with pytest.raises(UserError, match=r"checkpoint_gpu_1.pt does not exist.*of 2 rank\(s\)"):
        load_head(tmp_path, config)


def test_each_image_counts_alike_in_a_groups_map():
    maps = np.ones((2, 4, 4), np.float32)
    maps[1] *= 1000
    maps[1, 0, 0] = 5000
    found = group_map("a", faces(2)[:, :4, :4], maps)
    expected = (1 + maps[1] / maps[1].mean()) / 2
    np.testing.assert_allclose(found.average, expected, rtol=1e-5)
    assert found.images == 2


def test_arrays_and_pictures_are_written(tmp_path):
    groups = [group_map(name, faces(2), np.random.default_rng(1).random((2, 112, 112),
              np.float32)) for name in ("a", "b")]  # fmt: skip
    arrays, picture = write_maps(tmp_path / "maps", groups)
    found = np.load(arrays)
    assert found["names"].tolist() == ["a", "b"]
    assert found["maps"].shape == (2, 112, 112)
    assert cv2.imread(str(picture)).shape == (18 + 2 * 112, 2 * 112, 3)


def test_the_command_reads_the_runs_record_or_verification_sets(run, capsys):
    assert main(["maps", str(run), "--images", "4", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "pixels that hold half of the map" in printed
    found = np.load(run / "maps" / "maps.npz")
    assert found["names"].tolist() == ["a", "b"]
    assert found["images"].tolist() == [4, 4]
    unseen = run.parent / "unseen.bin"
    assert main(["maps", str(run), "--bins", str(unseen), "--out", str(run / "other")]) == 0
    assert np.load(run / "other" / "maps.npz")["names"].tolist() == ["unseen"]


def test_what_the_command_cannot_use_ends_in_one_sentence(run, tmp_path, capsys):
    assert main(["maps", str(run), "--images", "0"]) == 2
    assert "--images is 0; it must be at least 1" in capsys.readouterr().err
    (tmp_path / "model.pt").write_bytes((run / "model.pt").read_bytes())
    assert main(["maps", str(tmp_path)]) == 2
    assert "has no config.json, expected the folder of a training run" in capsys.readouterr().err
