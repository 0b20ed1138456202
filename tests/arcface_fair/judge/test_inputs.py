# SPDX-License-Identifier: MIT
"""Models have short names, sets are embedded once per image, and oddities are said."""

import numpy as np
import onnx
import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.data.sets.bins import decode_bin, write_bin
from arcface_fair.evaluation import squared_distances
from arcface_fair.export import export_onnx
from arcface_fair.judge.inputs import (
    VerificationSet,
    group_name,
    names_of,
    onnx_metadata,
    read_verification_sets,
)
from tests.small_data import picture, raw_pixels


def write(path):
    images, same = [], []
    for pair in range(12):
        genuine = pair % 2 == 0
        images += [picture(pair // 2, 0), picture(pair // 2 if genuine else 50, 1)]
        same.append(genuine)
    write_bin(path, images, same)
    return images


def test_an_image_of_many_pairs_is_embedded_once_and_the_figures_are_the_same(tmp_path):
    images = write(tmp_path / "rfw_indian.bin")
    seen = []

    def embed(faces, told):
        seen.append(len(faces))
        told(len(faces))
        return raw_pixels(faces)

    told = []
    (found,) = read_verification_sets([tmp_path / "rfw_indian.bin"]).values()
    pairs = found.compare(embed, told.append)
    rows = raw_pixels(decode_bin(images))
    np.testing.assert_array_equal(pairs.distances, squared_distances(rows[0::2], rows[1::2]))
    assert sum(seen) == sum(told) == len(set(images)) < len(images)
    assert len(np.unique(pairs.sides)) == 7  # six people, and the one that all are compared with


def test_a_repeated_image_is_noted(tmp_path):
    same = [True, False] * 6
    images = [picture(0, 0)] * 2 + [picture(n, 0) for n in range(1, 23)]
    write_bin(tmp_path / "odd.bin", images, same)
    found = VerificationSet.read(tmp_path / "odd.bin")
    assert found.notes == ("1 genuine pairs compare an image with itself",)
    assert found.source().startswith(f"{tmp_path / 'odd.bin'}, SHA-256 ")


def test_drawn_faces_say_how_they_were_drawn(tmp_path):
    write(tmp_path / "amber_test.bin")
    (tmp_path / "world.json").write_text('{\n "seed": 5\n}')
    source = VerificationSet.read(tmp_path / "amber_test.bin").source()
    assert source.endswith('faces drawn by `arcface-fair synthesize`: { "seed": 5 }')
    (tmp_path / "world.json").write_text("x" * 700)
    assert VerificationSet.read(tmp_path / "amber_test.bin").source().endswith("x ...")


def test_group_is_the_file_name_without_prefix_and_suffix(tmp_path):
    assert group_name(tmp_path / "rfw_african.bin") == "african"
    assert group_name(tmp_path / "African_test.bin") == "African"
    assert group_name(tmp_path / "orl.bin") == "orl"


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
    assert onnx_metadata(exported) == {"input": "RGB 112 x 112, (x - 127.5) / 127.5"}


def test_a_graph_that_begins_by_subtracting_is_a_warning(exported, tmp_path):
    facts = onnx_metadata(prefixed(exported, tmp_path / "twice.onnx", "node_sub", "Sub"))
    assert facts["warning"].startswith("twice.onnx begins with Sub, as a graph does that normalis")


def test_names_that_insightface_knows_switch_the_normalisation_off(exported, tmp_path):
    path = prefixed(exported, tmp_path / "inside.onnx", "Sub_0", "Sub")
    model = onnx.load(str(path))
    model.graph.node[1].name = "Mul_1"
    onnx.save(model, str(path))
    assert onnx_metadata(path) == {
        "input": "RGB 112 x 112, raw: names of the first nodes say that the graph normalises"
    }
