# SPDX-License-Identifier: MIT
"""Side files are made from the reference, keep its interface, and never break a loader silently."""

import numpy as np
import onnx
import pytest
import torch
from insightface.model_zoo import get_model as insightface_model

from arcface_fair.errors import UserError
from arcface_fair.export import export_onnx
from arcface_fair.export.runtime import OnnxEmbedder
from arcface_fair.export.variants import VARIANTS, export_variant, variant_path
from tests.arcface_fair.export.conftest import trained_like

RGB = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), np.uint8)


@pytest.fixture(scope="module")
def reference(net, tmp_path_factory):
    return export_onnx(net, tmp_path_factory.mktemp("variants") / "model.onnx", train_std=128.0)


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize(
    ("kind", "cosine", "share"), [("static1", 0.999999, 1.1), ("fp16", 0.99999, 0.6),
                                  ("int8", 0.98, 0.5)]
)  # fmt: skip
def test_variant_is_close_to_the_reference_and_as_small_as_it_should_be(
    kind, cosine, share, reference, net
):
    path = export_variant(kind, reference, net, train_std=128.0)
    assert path == variant_path(reference, kind)
    assert path.name == f"model.{kind}.onnx"
    found, expected = OnnxEmbedder(path)(RGB), OnnxEmbedder(reference)(RGB)
    assert cosines(found, expected).min() > cosine
    assert path.stat().st_size < share * reference.stat().st_size
    model = insightface_model(str(path), providers=["CPUExecutionProvider"])
    assert (type(model).__name__, model.input_std) == ("ArcFaceONNX", 127.5)
    facts = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    assert facts["variant"] == kind
    assert facts["train_std"] == "128"
    again = path.read_bytes()
    assert export_variant(kind, reference, net, train_std=128.0).read_bytes() == again
    assert not list(path.parent.glob(".export-*"))


def test_the_fixed_batch_is_one_in_input_and_output(reference, net):
    model = onnx.load(str(export_variant("static1", reference, net)))
    sizes = [v.type.tensor_type.shape.dim[0].dim_value for v in
             (*model.graph.input, *model.graph.output)]  # fmt: skip
    assert sizes == [1, 1]


def test_an_unknown_variant_is_refused(reference, net):
    with pytest.raises(UserError, match="there is no variant 'int4'; choose from static1, fp16"):
        export_variant("int4", reference, net)
    assert set(VARIANTS) == {"static1", "fp16", "int8"}


def test_weights_beyond_16_bits_are_refused(tmp_path):
    net = trained_like("small", num_features=8).eval()
    net.features.running_mean[0] = 1e6
    path = export_onnx(net, tmp_path / "net.onnx")
    with pytest.raises(UserError, match=r"reach 1e\+06, more than 16 bits hold .65504.; leave"):
        export_variant("fp16", path, net)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_a_variant_of_a_diverged_backbone_is_not_kept(reference, tmp_path):
    bad = trained_like("small").eval()
    bad.features.running_mean[0] = float("nan")
    path = tmp_path / "net.onnx"
    path.write_bytes(reference.read_bytes())
    with pytest.raises(UserError, match="static1 was not kept: its embeddings hold NaN"):
        export_variant("static1", path, bad)
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_a_variant_that_cannot_be_written_is_named(reference, net, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(reference.read_bytes())
    (tmp_path / "net.fp16.onnx").mkdir()
    with pytest.raises(UserError, match=r"net\.fp16\.onnx cannot be written"):
        export_variant("fp16", path, net)
    assert torch.is_tensor(net.fc.weight)
