# SPDX-License-Identifier: MIT
"""Decides whether an ONNX file keeps the portable contract and computes what its backbone does.

Most breaches of the contract fail silently in the consumer (a graph that begins with Sub and Mul
is fed raw pixels, a free height makes the loader return None), so they are looked for here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from arcface_fair.errors import UserError
from arcface_fair.optional import require

BATCHES = (1, 3, 32)
# Rounding differs between the two runtimes: about 1e-6 of the norm was seen on r18 to r100.
LARGEST_DIFFERENCE = 1e-5
SMALLEST_COSINE = 0.999999
# insightface (arcface_onnx.py) and MFR's onnx_helper.py judge by the first names only.
NAMES_OF_NORMALISATION = ("Sub", "_minus", "Mul", "_mul", "Div")
NAMED_NODES = 8


def check_onnx(path: str | Path, backbone: nn.Module, opset: int) -> float:
    """The largest difference between file and eager `backbone`, relative to the mean norm.

    backbone: float32, on the CPU, in eval mode. Compared on random images at batches of 1, 3
    and 32 and on one constant colour. Raises UserError naming the first breach.
    """
    breach = _breach(Path(path), opset)
    if breach is not None:
        raise UserError(f"the exported file was not kept: {breach}")
    session = require("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return max(_compare(session, backbone, images) for images in _probes())


def _probes() -> list[NDArray[np.float32]]:
    random = np.random.default_rng(0)
    probes = [random.integers(0, 256, (count, 3, 112, 112)) for count in BATCHES]
    probes.append(np.broadcast_to(np.array([200, 120, 40])[None, :, None, None], (1, 3, 112, 112)))
    return [((probe - 127.5) / 127.5).astype(np.float32) for probe in probes]


def _compare(session: Any, backbone: nn.Module, images: NDArray[np.float32]) -> float:
    (output,) = session.run(None, {session.get_inputs()[0].name: images})
    with torch.no_grad():
        expected = backbone(torch.from_numpy(images)).numpy()
    if not np.isfinite(expected).all():
        raise UserError(
            "the backbone's embeddings hold NaN or infinity, so nothing was exported; the "
            "training has diverged or never ran, use another checkpoint"
        )
    norms = np.linalg.norm(expected, axis=1)
    difference = float(np.abs(output - expected).max() / norms.mean())
    cosine = float(((output * expected).sum(1) / (norms * np.linalg.norm(output, axis=1))).min())
    if not (difference < LARGEST_DIFFERENCE and cosine > SMALLEST_COSINE):
        raise UserError(
            f"the exported file was not kept: at batch {len(images)} it differs from the backbone "
            f"by {difference:.1e} of the norm (allowed {LARGEST_DIFFERENCE:.0e}), cosine "
            f"{cosine:.7f}; report it with the network's name and the versions of torch and onnx"
        )
    return difference


def _breach(path: Path, opset: int) -> str | None:
    """The first rule of the contract that the file breaks, in words."""
    onnx = require("onnx")
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except onnx.checker.ValidationError as error:
        return f"onnx finds it invalid ({error})"
    model = onnx.load(str(path), load_external_data=False)
    graph, float32 = model.graph, onnx.TensorProto.FLOAT
    if [entry.version for entry in model.opset_import] != [opset]:
        return f"it does not use opset {opset} alone"
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in graph.initializer):
        return "its weights lie in a second file"
    if any(t.data_type not in (float32, onnx.TensorProto.INT64) for t in graph.initializer):
        return "its weights are not all float32"
    if [_shape(value, float32) for value in graph.input] != [("batch", 3, 112, 112)]:
        return "its input is not one float32 [batch, 3, 112, 112]"
    outputs = [_shape(value, float32) for value in graph.output]
    if len(outputs) != 1 or len(outputs[0]) != 2 or outputs[0][0] != "batch":
        return "its output is not one float32 [batch, embedding size]"
    if not isinstance(outputs[0][1], int):
        return "its embedding size is not a number"
    return breach_by_name([node.name for node in graph.node])


def breach_by_name(names: list[str]) -> str | None:
    """What the nodes' number or first names would make a consumer believe, in words."""
    if len(names) < NAMED_NODES:
        return f"it has {len(names)} nodes, and MFR's checker wants at least {NAMED_NODES}"
    # Equal tensors of an untrained network become leading Identity nodes; look behind them too.
    computing = [name for name in names if not name.startswith("Identity")]
    for name in names[:NAMED_NODES] + computing[:NAMED_NODES]:
        if name.startswith(NAMES_OF_NORMALISATION):
            return f"node {name!r} would make InsightFace believe that it normalises its input"
    return None


def _shape(value: Any, element: int) -> tuple[int | str, ...]:
    """Sizes or names of the axes; empty if the elements are of another type."""
    tensor = value.type.tensor_type
    if tensor.elem_type != element:
        return ()
    return tuple(dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
