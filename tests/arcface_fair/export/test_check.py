# SPDX-License-Identifier: MIT
"""Every breach of the portable contract is found and named."""

import onnx
import pytest
from onnx import TensorProto

from arcface_fair.errors import UserError
from arcface_fair.export.check import breach_by_name, check_onnx


def widen(model):
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = model.graph.node[-2].output[0]


def fix_batch(model):
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def free_height(model):
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"


def free_embedding(model):
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "size"


def add_double(model):
    model.graph.initializer.append(onnx.helper.make_tensor("extra", TensorProto.DOUBLE, [1], [0]))


def move_weights_out(model):
    tensor = onnx.helper.make_tensor("extra", TensorProto.FLOAT, [1], [0])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("float_data")
    tensor.external_data.add(key="location", value="weights.data")
    model.graph.initializer.append(tensor)


def rename_first_node(model):
    model.graph.node[0].name = "Sub_0"


def change_a_weight(model):
    weights = next(t for t in model.graph.initializer if len(t.dims) == 4)
    weights.raw_data = bytes(4) + weights.raw_data[4:]


def break_it(model):
    model.graph.node[3].op_type = "NoSuchOperator"


@pytest.mark.parametrize(
    ("breach", "message"),
    [
        (widen, r"its output is not one float32 \[batch, embedding size\]"),
        (fix_batch, r"its input is not one float32 \[batch, 3, 112, 112\]"),
        (free_height, r"its input is not one float32 \[batch, 3, 112, 112\]"),
        (free_embedding, "its embedding size is not a number"),
        (add_double, "its weights are not all float32"),
        (move_weights_out, "its weights lie in a second file"),
        (rename_first_node, "node 'Sub_0' would make InsightFace believe"),
        (break_it, "onnx finds it invalid"),
        (change_a_weight, "at batch 1 it differs from the backbone"),
    ],
)
def test_breach_is_found(breach, message, exported, net, tmp_path):
    model = onnx.load(str(exported))
    breach(model)
    path = tmp_path / "broken.onnx"
    path.write_bytes(model.SerializeToString())
    (tmp_path / "weights.data").write_bytes(bytes(4))
    with pytest.raises(UserError, match=message):
        check_onnx(path, net, opset=17)


def test_another_opset_than_the_one_asked_for_is_found(exported, net):
    with pytest.raises(UserError, match="it does not use opset 11 alone"):
        check_onnx(exported, net, opset=11)


def test_names_behind_leading_identities_are_looked_at():
    names = [f"Identity_{i}" for i in range(8)] + ["Conv_0", "Mul_0"] + ["Add"] * 8
    assert "'Mul_0'" in breach_by_name(names)
    assert breach_by_name(["Conv_0"] + ["/Mul"] * 8) is None
    assert "has 7 nodes" in breach_by_name(["Conv"] * 7)


def test_difference_is_a_small_share_of_the_norm(exported, net):
    assert 0 < check_onnx(exported, net, opset=17) < 2e-6
