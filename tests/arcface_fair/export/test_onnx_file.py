# SPDX-License-Identifier: MIT
"""The exported file is one that InsightFace loads and that computes what the backbone does."""

import hashlib
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from insightface.model_zoo import get_model as insightface_model

from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError
from arcface_fair.export import export_onnx
from tests.arcface_fair.export.conftest import trained_like


def check_as_insightface(path, net):
    """Acceptance: insightface takes it for a recogniser and gets the backbone's features."""
    model = insightface_model(str(path), providers=["CPUExecutionProvider"])
    assert type(model).__name__ == "ArcFaceONNX"
    assert model.taskname == "recognition"
    assert model.input_mean == model.input_std == 127.5
    assert model.input_size == (112, 112)
    images = list(np.random.default_rng(1).integers(0, 256, (32, 112, 112, 3), np.uint8))
    images[1] = np.full((112, 112, 3), (200, 120, 40), np.uint8)  # BGR; a swap would show
    rgb = torch.from_numpy(np.stack(images)[:, :, :, ::-1].copy()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = net((rgb - 127.5) / 127.5).numpy()
    norm = np.linalg.norm(expected, axis=1).mean()
    singles = np.concatenate([model.get_feat(image) for image in images[:8]])
    for count in (1, 2, 8, 32):
        found = model.get_feat(images[:count])
        assert found.shape == (count, 512)
        assert np.abs(found - expected[:count]).max() / norm < 1e-5
        assert cosines(found, expected[:count]).min() > 0.999999
        assert np.abs(found[:8] - singles[:count]).max() / norm < 1e-5


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def check_as_file(path, opset):
    """Acceptance: one valid file, float32, only the batch free, harmless node names."""
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path), load_external_data=False)
    kinds = {t.data_type for t in model.graph.initializer}
    assert kinds <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}
    assert all(t.data_location != onnx.TensorProto.EXTERNAL for t in model.graph.initializer)
    assert [entry.version for entry in model.opset_import] == [opset]
    assert len(model.graph.node) >= 8
    for node in model.graph.node[:8]:
        assert not node.name.startswith(("Sub", "_minus", "Mul", "_mul", "Div"))
    (images,), (embeddings,) = model.graph.input, model.graph.output
    sizes = [
        [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (images, embeddings)
    ]
    assert sizes == [["batch", 3, 112, 112], ["batch", 512]]
    assert {v.type.tensor_type.elem_type for v in (images, embeddings)} == {onnx.TensorProto.FLOAT}


def test_file_keeps_the_portable_contract(exported):
    check_as_file(exported, opset=17)


def test_insightface_gets_the_features_of_the_backbone(exported, net):
    check_as_insightface(exported, net)


def test_file_works_alone_in_another_folder(exported, net, tmp_path):
    check_as_insightface(shutil.copy(exported, tmp_path / "moved.onnx"), net)


def test_same_backbone_gives_the_same_bytes(exported, net, tmp_path):
    again = export_onnx(net, tmp_path / "again.onnx")
    assert again.read_bytes() == exported.read_bytes()


@pytest.mark.slow
def test_same_backbone_gives_the_same_bytes_in_another_process(exported, net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "net.pt")
    code = (
        "import sys; from arcface_fair.export import *;"
        "export_onnx(load_backbone(sys.argv[1]), sys.argv[2])"
    )
    other = tmp_path / "other.onnx"
    subprocess.run([sys.executable, "-c", code, tmp_path / "net.pt", other], check=True)
    assert hashlib.sha256(other.read_bytes()).digest() == (
        hashlib.sha256(exported.read_bytes()).digest()
    )


def test_opset_11_for_old_runtimes_keeps_the_contract_too(net, tmp_path):
    path = export_onnx(net, tmp_path / "mfr.onnx", opset=11)
    check_as_file(path, opset=11)
    check_as_insightface(path, net)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r18", "mbf", "small_aa", "vit_t"])
def test_other_networks_keep_the_contract_too(name, tmp_path):
    net = trained_like(name).eval()
    path = export_onnx(net, tmp_path / "net.onnx")
    check_as_file(path, opset=17)
    check_as_insightface(path, net)


def test_backbone_is_left_as_it_was_whatever_its_mode(exported, net, tmp_path):
    twin = trained_like("small").train()
    twin.fp16 = True
    wrapped = torch.nn.Module()
    wrapped.module = twin
    path = export_onnx(wrapped, tmp_path / "twin.onnx")
    assert twin.training
    assert twin.fp16
    assert path.read_bytes() == exported.read_bytes()


def test_metadata_tell_normalisation_version_and_what_was_given(net, tmp_path):
    path = export_onnx(net, tmp_path / "net.onnx", metadata={"run": "orl"})
    facts = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert facts["train_mean"] == facts["train_std"] == "127.5"
    assert facts["color"] == "RGB"
    assert facts["run"] == "orl"
    assert facts["arcface_fair_version"]


def test_a_diverged_backbone_leaves_nothing_behind_and_an_older_file_alone(tmp_path):
    bad = trained_like("small", num_features=8)
    bad.fc.bias.data[0] = float("nan")
    old = tmp_path / "model.onnx"
    old.write_bytes(b"old")
    with pytest.raises(UserError, match="embeddings hold NaN or infinity, so nothing was exported"):
        export_onnx(bad, old)
    assert old.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [old]


class WidthOfBatch(torch.nn.Module):
    """Writes the batch size of the export's example into the graph as a constant."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return self.net(images) * float(len(images))


@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python:torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Using len to get tensor shape:torch.jit.TracerWarning")
def test_a_file_that_computes_something_else_is_not_kept(net, tmp_path):
    with pytest.raises(UserError, match="not kept: at batch 1 it differs from the backbone by"):
        export_onnx(WidthOfBatch(net), tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_opset_that_no_consumer_reads_is_refused(net, tmp_path):
    with pytest.raises(UserError, match="opset is 10; choose 11"):
        export_onnx(net, tmp_path / "net.onnx", opset=10)
    assert list(tmp_path.iterdir()) == []


def test_metadata_cannot_misstate_the_normalisation(net, tmp_path):
    path = export_onnx(net, tmp_path / "net.onnx", metadata={"train_std": "128"})
    assert {e.key: e.value for e in onnx.load(str(path)).metadata_props}["train_std"] == "127.5"


def test_a_folder_that_cannot_be_written_is_named(net, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/net\.onnx cannot be written"):
        export_onnx(net, tmp_path / "file" / "net.onnx")


def test_a_missing_package_is_named_with_the_command_that_brings_it(net, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        UserError, match=r'onnxruntime is not.*pip install "arcface-fair\[deploy\]"'
    ):
        export_onnx(net, tmp_path / "net.onnx")


@pytest.mark.parametrize("name", ["vit_h", pytest.param("r2060", marks=pytest.mark.slow)])
def test_a_network_that_no_single_file_can_hold_is_refused(name, tmp_path):
    with torch.device("meta"):
        net = get_model(name)
    with pytest.raises(UserError, match=r"take \d\.\d GiB in float32, and one ONNX file holds at"):
        export_onnx(net, tmp_path / "net.onnx")
