# SPDX-License-Identifier: MIT
"""A backbone starts from released weights and says what it took; a wrong file changes nothing."""

import warnings

import onnx
import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError
from arcface_fair.export import export_onnx
from arcface_fair.hosts.embedded import train
from arcface_fair.run.pretrained import module_path, start_from
from tests.arcface_fair.export.conftest import trained_like
from tests.small_data import small_run, write_small_record


def weights(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def equal(a, b, names=None):
    return all(torch.equal(a[name], b[name]) for name in names or a)


@pytest.fixture
def released(tmp_path):
    net = trained_like("small", num_features=16)
    torch.save(net.state_dict(), tmp_path / "model.pt")
    return net, tmp_path / "model.pt"


def test_the_whole_state_dict_is_loaded(released):
    theirs, path = released
    net = get_model("small", num_features=16)
    account = start_from(net, "small", path)
    assert equal(weights(net), weights(theirs))
    assert account.sentences() == [
        f"the backbone starts from {path}: {len(net.state_dict())} tensors loaded"
    ]


def test_a_checkpoint_of_either_trainer_is_understood(released, tmp_path):
    theirs, _ = released
    state = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    torch.save({"epoch": 1, "state_dict_backbone": state}, tmp_path / "checkpoint_gpu_0.pt")
    net = get_model("small", num_features=16)
    start_from(net, "small", tmp_path / "checkpoint_gpu_0.pt")
    assert equal(weights(net), weights(theirs))


def test_another_embedding_size_keeps_the_last_layers_fresh_and_says_so(released):
    theirs, path = released
    net = get_model("small", num_features=8)
    fresh = weights(net)
    account = start_from(net, "small", path)
    last = ["fc.weight", "fc.bias", "features.weight", "features.running_mean"]
    assert equal(weights(net), fresh, last)
    assert equal(weights(net), weights(theirs), account.loaded)
    assert "stem.1.weight" in account.loaded
    assert account.sentences()[1] == (
        "not loaded, because the file has another embedding size: 6 tensors (fc.weight, fc.bias, "
        "features.weight, features.bias, ...)"
    )


def test_a_missing_counter_of_batches_is_said_and_does_no_harm(released, tmp_path):
    theirs, _ = released
    state = {n: t for n, t in theirs.state_dict().items() if not n.endswith("batches_tracked")}
    torch.save(state, tmp_path / "old.pt")
    account = start_from(get_model("small", num_features=16), "small", tmp_path / "old.pt")
    assert "because the file lacks it: 6 tensors" in account.sentences()[1]


def test_a_wrong_network_is_refused_and_the_right_one_named(released):
    _, path = released
    net = get_model("small_aa", num_features=16)
    before = weights(net)
    with pytest.raises(
        UserError,
        match=r"does not fit network 'small_aa' \(first at block1\.conv1\.weight\); it fits",
    ):
        start_from(net, "small_aa", path)
    assert equal(weights(net), before)
    with torch.device("meta"):
        transformer = get_model("vit_t")
    with pytest.raises(UserError, match=r"does not fit network 'vit_t' \(first at pos_embed\)"):
        start_from(transformer, "vit_t", path)


def test_weights_of_no_known_network_are_refused(released, tmp_path):
    net, _ = released
    torch.save({**net.state_dict(), "extra": torch.ones(3, 2)}, tmp_path / "x.pt")
    with pytest.raises(UserError, match=r"\(first at extra\); give another file"):
        start_from(net, "small", tmp_path / "x.pt")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"init_backbone is .*none\.pt, which does not exist; corr"):
        start_from(get_model("small"), "small", tmp_path / "none.pt")


# ONNX


@pytest.mark.slow
def test_a_vision_transformer_comes_back_from_its_onnx_file(tmp_path):
    theirs = trained_like("vit_t", num_features=8).eval()
    path = export_onnx(theirs, tmp_path / "vit.onnx")
    net = get_model("vit_t", num_features=8)
    account = start_from(net, "vit_t", path)
    assert set(account.fresh) == {
        "mask_token", "feature.1.num_batches_tracked", "feature.3.num_batches_tracked"
    }  # fmt: skip
    assert equal(weights(net), weights(theirs), account.loaded)
    assert "no tensor of the file belongs to it: 3 tensors" in account.sentences()[1]


def test_a_network_without_batchnorm_comes_back_from_its_onnx_file(tmp_path):
    torch.manual_seed(3)
    theirs = get_model("small", num_features=8, norm="none").eval()
    for parameter in theirs.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    net = get_model("small", num_features=8, norm="none").train()
    start_from(net, "small", export_onnx(theirs, tmp_path / "net.onnx"))
    assert equal(weights(net), weights(theirs))
    assert net.training


def unfolded(net, path):
    """An export that leaves BatchNorm alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (torch.zeros(1, 3, 112, 112),), path, dynamo=False, do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )  # fmt: skip
    return path


def test_an_onnx_file_with_unfolded_batchnorm_is_mapped(released, tmp_path):
    theirs, _ = released
    path = unfolded(theirs.eval(), tmp_path / "net.onnx")
    kinds = [node.op_type for node in onnx.load(str(path)).graph.node]
    assert kinds.count("BatchNormalization") == 6
    net = get_model("small", num_features=16)
    account = start_from(net, "small", path)
    assert equal(weights(net), weights(theirs), account.loaded)
    assert all(name.endswith("num_batches_tracked") for name in account.fresh)


def test_folded_batchnorm_is_refused_with_the_reason(released, tmp_path):
    theirs, _ = released
    path = export_onnx(theirs, tmp_path / "net.onnx")
    net = get_model("small", num_features=16)
    before = weights(net)
    with pytest.raises(
        UserError,
        match=r"keeps 1 of the 6 BatchNorm layers of network 'small': the others were folded into "
        r"convolutions.*start from the \.pt file",
    ):
        start_from(net, "small", path)
    assert equal(weights(net), before)


def test_an_onnx_file_of_another_size_or_network_is_refused_and_changes_nothing(tmp_path):
    theirs = get_model("small", num_features=8, norm="none").eval()
    path = export_onnx(theirs, tmp_path / "net.onnx")
    net = get_model("small", num_features=4, norm="none")
    before = weights(net)
    with pytest.raises(
        UserError, match=r"\d+ of \d+ tensors were matched by name, and network 'sma"
    ):
        start_from(net, "small", path)
    assert equal(weights(net), before)


def test_a_damaged_onnx_file_is_named(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"\x08no")
    with pytest.raises(UserError, match=r"x\.onnx, which cannot be read as an ONNX model"):
        start_from(get_model("small"), "small", tmp_path / "x.onnx")


def test_modules_are_found_by_the_names_of_nodes():
    assert module_path("/layer1/layer1.0/bn1/BatchNormalization") == "layer1.0.bn1"
    assert module_path("/layers.2/layers/layers.0/layers/layers.1/PRelu") == (
        "layers.2.layers.0.layers.1"
    )
    assert module_path("/Add") == ""


# In a run


def test_a_run_starts_from_the_weights_and_its_log_says_so(released, tmp_path):
    theirs, path = released
    record = write_small_record(tmp_path / "record")
    settings = {"num_epoch": 1, "lr": 1e-12, "weight_decay": 0.0}
    run = train(small_run(record, tmp_path / "run", init_backbone=str(path), **settings))
    trained = torch.load(run / "model.pt", weights_only=True)
    parameters = [name for name, _ in theirs.named_parameters()]
    for name in parameters:
        torch.testing.assert_close(trained[name], theirs.state_dict()[name], rtol=0, atol=1e-6)
    log = (run / "training.log").read_text()
    assert f"the backbone starts from {path}" in log
    train(small_run(record, tmp_path / "run", init_backbone="gone.pt", resume=True, num_epoch=2))
