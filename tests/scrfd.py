# SPDX-License-Identifier: MIT
"""A stand-in for InsightFace's face detector: nine outputs, one face in the middle of any photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 640
STRIDES = (8, 16, 32)
# Eyes, nose, corners of the mouth, in strides from the middle of the photo.
POINTS = np.array([-12, -9, 12, -9, 0, 2, -9, 15, 9, 15], np.float32)


def write_stand_in_detector(path: Path) -> Path:
    """An SCRFD file of 640 x 640: scores, boxes and points per stride, two anchors per place."""
    nodes, outputs = [], []
    for kind, width in (("score", 1), ("box", 4), ("points", 10)):
        for stride in STRIDES:
            places = (SIDE // stride) ** 2 * 2
            values = np.zeros((places, width), np.float32)
            if stride == 8:
                middle = (SIDE // stride) * (SIDE // stride + 1)  # row and column in the middle
                values[middle] = {"score": 0.9, "box": 30.0, "points": POINTS}[kind]
            name = f"{kind}_{stride}"
            nodes.append(
                helper.make_node(
                    "Constant", [], [name], name=name, value=numpy_helper.from_array(values, name)
                )
            )
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [places, width]))
    images = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    graph = helper.make_graph(nodes, "stand-in", [images], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    onnx.save(model, str(path))
    return path
