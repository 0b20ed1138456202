# SPDX-License-Identifier: MIT
"""Models by short names; a graph that seems to normalise its input twice is said aloud."""

import onnx
import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.export import export_onnx
from arcface_fair.judge.models import names_of, onnx_facts


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    net = get_model("small", num_features=16).eval()
    return export_onnx(net, tmp_path_factory.mktemp("onnx") / "plain.onnx")


def prefixed(exported, path, node, operation):
    """The file with one operation on its input before everything else."""
    model = onnx.load(str(exported))
    graph = model.graph
    entry = graph.input[0].name
    for each in graph.node:
        each.input[:] = ["moved" if name == entry else name for name in each.input]
    half = onnx.helper.make_tensor("half", onnx.TensorProto.FLOAT, [1], [127.5])
    graph.initializer.append(half)
    graph.node.insert(0, onnx.helper.make_node(operation, [entry, "half"], ["moved"], name=node))
    onnx.save(model, str(path))
    return path


def test_models_of_one_name_are_told_apart_by_their_paths():
    assert names_of(["runs/a", "runs/b"]) == ["a", "b"]
    assert names_of(["x/model", "y/model"]) == ["x/model", "y/model"]


def test_a_plain_file_is_normalised_as_insightface_does(exported):
    assert onnx_facts(exported) == {"input": "RGB 112 x 112, (x - 127.5) / 127.5"}


def test_a_graph_that_begins_by_subtracting_is_a_warning(exported, tmp_path):
    facts = onnx_facts(prefixed(exported, tmp_path / "twice.onnx", "node_sub", "Sub"))
    assert facts["warning"].startswith("twice.onnx begins with Sub, as a graph does that normalis")


def test_names_that_insightface_knows_switch_the_normalisation_off(exported, tmp_path):
    path = prefixed(exported, tmp_path / "inside.onnx", "Sub_0", "Sub")
    model = onnx.load(str(path))
    model.graph.node[1].name = "Mul_1"
    onnx.save(model, str(path))
    assert onnx_facts(path) == {
        "input": "RGB 112 x 112, raw: names of the first nodes say that the graph normalises"
    }
