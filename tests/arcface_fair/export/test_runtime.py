# SPDX-License-Identifier: MIT
"""Any InsightFace recognition file can be run, and is normalised as InsightFace would."""

import numpy as np
import onnx
import pytest

from arcface_fair.errors import UserError
from arcface_fair.export.runtime import OnnxEmbedder
from arcface_fair.run.embed import embed_bin

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), np.uint8)


def changed(exported, path, change):
    model = onnx.load(str(exported))
    change(model)
    onnx.save(model, str(path))
    return path


def test_file_gives_the_embeddings_of_the_backbone(exported, net):
    expected = embed_bin(net, IMAGES)
    np.testing.assert_allclose(OnnxEmbedder(exported)(IMAGES), expected, rtol=0, atol=1e-4)


def test_names_of_a_normalisation_inside_switch_ours_off(exported, tmp_path):
    def rename(model):
        model.graph.node[0].name, model.graph.node[1].name = "Sub_0", "Mul_0"

    raw = OnnxEmbedder(changed(exported, tmp_path / "raw.onnx", rename))
    assert (raw._mean, raw._std) == (0.0, 1.0)
    assert not np.allclose(raw(IMAGES), OnnxEmbedder(exported)(IMAGES))


def test_a_fixed_batch_is_fed_in_its_own_size(exported, tmp_path):
    def fix(model):
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 2

    fixed = OnnxEmbedder(changed(exported, tmp_path / "fixed.onnx", fix))
    np.testing.assert_allclose(fixed(IMAGES), OnnxEmbedder(exported)(IMAGES), rtol=0, atol=1e-4)


def test_files_that_are_no_recognition_model_are_refused(tmp_path):
    make, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("GlobalAveragePool", ["x"], ["y"])],
        "mean",
        [make.make_tensor_value_info("x", float32, ["batch", 3, 160, 160])],
        [make.make_tensor_value_info("y", float32, ["batch", 3, 1, 1])],
    )
    opset = [make.make_opsetid("", 17)]
    onnx.save(
        make.make_model(graph, opset_imports=opset, ir_version=8), str(tmp_path / "wide.onnx")
    )
    with pytest.raises(UserError, match=r"is no recognition model for 112 x 112 faces .*160, 160"):
        OnnxEmbedder(tmp_path / "wide.onnx")


@pytest.mark.parametrize("name", ["text.onnx", "missing.onnx"])
def test_files_that_are_no_onnx_are_refused(name, tmp_path):
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(UserError, match="cannot be read as an ONNX model"):
        OnnxEmbedder(tmp_path / name)
