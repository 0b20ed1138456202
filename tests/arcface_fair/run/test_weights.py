# SPDX-License-Identifier: MIT
"""Weights load strictly, from every place a trainer leaves them, or a sentence says why not."""

import json
import os

import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError
from arcface_fair.export import find_model, load_backbone


@pytest.fixture
def net():
    torch.manual_seed(0)
    return get_model("small", num_features=16)


def save_run(net, folder, **config):
    torch.save(net.state_dict(), folder / "model.pt")
    (folder / "config.json").write_text(
        json.dumps({"network": "small", "embedding_size": 16, "name": "trial"} | config)
    )


def same_weights(a, b):
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def test_a_run_folder_is_enough(net, tmp_path):
    save_run(net, tmp_path)
    loaded = load_backbone(tmp_path)
    assert same_weights(loaded, net)
    assert not loaded.training


def test_a_bare_state_dict_tells_its_network_and_size(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "backbone.pt")
    assert same_weights(load_backbone(tmp_path / "backbone.pt"), net)


def test_names_from_ddp_and_checkpoints_are_understood(net, tmp_path):
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"epoch": 1, "state_dict_backbone": state}, tmp_path / "checkpoint_gpu_0.pt")
    assert same_weights(load_backbone(tmp_path / "checkpoint_gpu_0.pt", "small", 16), net)


def test_the_norm_of_a_run_is_honoured(tmp_path):
    plain = get_model("small", num_features=16, norm="none")
    save_run(plain, tmp_path, norm="none")
    assert same_weights(load_backbone(tmp_path), plain)


def test_a_wrong_network_is_named_beside_the_one_that_fits(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "backbone.pt")
    with pytest.raises(
        UserError,
        match=r"do not fit network 'r18' with embedding_size 512 \(\d+ entries missing.*"
        r"they fit network 'small' with embedding_size 16; give that",
    ):
        load_backbone(tmp_path / "backbone.pt", "r18", 512)
    with pytest.raises(
        UserError, match=r"'small' with embedding_size 8 .*of another shape, first fc"
    ):
        load_backbone(tmp_path / "backbone.pt", "small", 8)


def test_weights_of_no_known_network_are_refused(tmp_path):
    torch.save({"weight": torch.ones(3, 2)}, tmp_path / "head.pt")
    with pytest.raises(UserError, match=r"fit none of mbf, .*; say with --network"):
        load_backbone(tmp_path / "head.pt")
    with pytest.raises(UserError, match="give the network that they were trained with"):
        load_backbone(tmp_path / "head.pt", "small", 3)


class Payload:
    def __reduce__(self):
        return os.mkdir, ("should-never-exist",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Payload(), "holds more than tensors and is therefore not opened"),
        ([torch.ones(2)], "holds list but no state dict"),
        ({"epoch": 3}, "holds dict but no state dict"),
        ({}, "holds no weights"),
    ],
)
def test_other_files_are_refused_without_running_anything(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(UserError, match=message):
        load_backbone(tmp_path / "x.pt", "small", 16)
    assert not (tmp_path / "should-never-exist").exists()


def test_a_truncated_file_is_refused(net, tmp_path):
    save_run(net, tmp_path)
    whole = (tmp_path / "model.pt").read_bytes()
    (tmp_path / "model.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"model\.pt is damaged"):
        load_backbone(tmp_path)


def test_missing_weights_and_broken_configs_are_named(net, tmp_path):
    with pytest.raises(UserError, match=r"no weights at .*model\.pt; give a run's folder"):
        load_backbone(tmp_path)
    save_run(net, tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json cannot be read as JSON"):
        load_backbone(tmp_path)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match=r"config\.json holds list, expected a run's config"):
        load_backbone(tmp_path)


def test_the_input_scale_of_a_run_is_known_and_that_of_a_bare_file_is_not(net, tmp_path):
    save_run(net, tmp_path)
    assert find_model(tmp_path).train_std == 127.5
    save_run(net, tmp_path, train_std=128)
    assert find_model(tmp_path / "model.pt").train_std == 128
    save_run(net, tmp_path, train_std="half")
    with pytest.raises(UserError, match=r"config\.json has train_std 'half', expected a number"):
        find_model(tmp_path)
    torch.save(net.state_dict(), tmp_path / "other.pt")
    (tmp_path / "config.json").unlink()
    assert find_model(tmp_path / "other.pt").train_std is None


def test_forms_that_differ_in_training_only_count_as_one(tmp_path):
    with torch.device("meta"):
        shapes = {n: t.shape for n, t in get_model("vit_t", num_features=4).state_dict().items()}
    torch.save({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "vit.pt")
    assert type(load_backbone(tmp_path / "vit.pt")).__name__ == "VisionTransformer"


def test_a_network_that_a_plugin_brings_is_fetched_from_it(net, tmp_path, monkeypatch):
    code = (
        "from arcface_fair.backbones import BACKBONES, get_model\n"
        "@BACKBONES.register('twin')\n"
        "def build(*, fp16, num_features, dropout):\n"
        "    return get_model('small', fp16, num_features, dropout)\n"
    )
    (tmp_path / "plugin_of_this_test.py").write_text(code)
    from arcface_fair.backbones import BACKBONES

    monkeypatch.setattr(BACKBONES, "_builders", dict(BACKBONES._builders))
    save_run(net, tmp_path, network="twin", plugins=["plugin_of_this_test"])
    with pytest.raises(UserError, match="no network is named 'twin'"):
        load_backbone(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert same_weights(load_backbone(tmp_path), net)


def test_provenance_depends_on_weights_and_config_only(net, tmp_path):
    save_run(net, tmp_path)
    facts = find_model(tmp_path).provenance()
    assert facts == find_model(tmp_path / "model.pt").provenance()
    assert facts["run"] == "trial"
    net.fc.bias.data += 1
    save_run(net, tmp_path)
    changed = find_model(tmp_path).provenance()
    assert changed["config_sha256"] == facts["config_sha256"]
    assert changed["weights_sha256"] != facts["weights_sha256"]
