# SPDX-License-Identifier: MIT
"""Side files of an exported model: fixed batch, half-precision weights, 8-bit integers.

Never the reference: MFR's checker refuses weights in less than 32 bits, and a GPU build of
InsightFace Server refuses operators that only a CPU runs. Each is made from the verified reference
file, and whoever asks for one should measure what it loses on real pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from arcface_fair.errors import UserError
from arcface_fair.export.check import breach_by_name
from arcface_fair.export.fold import RUNTIME_STD, fold_input_scale
from arcface_fair.export.onnx_file import DEFAULT_OPSET, add_properties, drafted, plain_copy, trace
from arcface_fair.files import sha256
from arcface_fair.optional import require

LARGEST_HALF = 65504.0  # of float16

VARIANTS = {
    "static1": "a batch of one and no other (TensorRT, ncnn, MNN)",
    "fp16": "weights in 16 bits, computed and fed in 32",
    "int8": "convolutions and products in 8 bits, ranges found at run time",
}


def variant_path(reference: Path, kind: str) -> Path:
    """Where the variant of a file lies: model.onnx -> model.fp16.onnx."""
    return reference.with_suffix(f".{kind}.onnx")


def export_variant(
    kind: str,
    reference: Path,
    backbone: nn.Module,
    *,
    opset: int = DEFAULT_OPSET,
    train_std: float = RUNTIME_STD,
) -> Path:
    """Writes one variant of the exported `reference` beside it and returns its path.

    backbone, opset, train_std: those of the reference. The file keeps float32 input and output
    and harmless node names, and gives finite embeddings; what they lose is for
    `arcface_fair.evaluation.feature_agreement` to say.
    Raises UserError for an unknown kind, for weights that 16 bits cannot hold, and where the
    file cannot be written or breaks one of these rules; it is not kept then.
    """
    if kind not in VARIANTS:
        raise UserError(f"there is no variant {kind!r}; choose from {', '.join(VARIANTS)}")
    makers: dict[str, Callable[[Path], None]] = {
        "static1": lambda draft: _static(backbone, draft, opset, train_std),
        "fp16": lambda draft: _half_weights(reference, draft),
        "int8": lambda draft: _integers(reference, draft),
    }
    path = variant_path(reference, kind)
    with drafted(path) as draft:
        makers[kind](draft)
        digest = sha256(reference)
        add_properties(
            draft, _properties_of(reference) | {"variant": kind, "variant_of_sha256": digest}
        )
        _check(draft, kind)
    return path


def _static(backbone: nn.Module, draft: Path, opset: int, train_std: float) -> None:
    plain = plain_copy(backbone)
    fold_input_scale(plain, train_std)
    trace(plain, draft, opset, batch=1)


def _half_weights(reference: Path, draft: Path) -> None:
    """Stores weights as float16 and casts them to float32 where the graph begins."""
    onnx = require("onnx")
    model = onnx.load(str(reference))
    kept: list[Any] = []
    casts: list[Any] = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or not tensor.dims:
            kept.append(tensor)
            continue
        half = _as_half(onnx.numpy_helper.to_array(tensor), tensor.name)
        kept.append(onnx.numpy_helper.from_array(half, f"{tensor.name}_fp16"))
        casts.append(
            onnx.helper.make_node(
                "Cast",
                [f"{tensor.name}_fp16"],
                [tensor.name],
                name=f"/weights/Cast_{len(casts)}",
                to=onnx.TensorProto.FLOAT,
            )
        )
    nodes = [*casts, *model.graph.node]
    for field, values in (("initializer", kept), ("node", nodes)):
        model.graph.ClearField(field)
        getattr(model.graph, field).extend(values)
    draft.write_bytes(model.SerializeToString(deterministic=True))


def _as_half(values: Any, name: str) -> Any:
    largest = float(np.abs(values).max(initial=0.0))
    if largest > LARGEST_HALF:
        raise UserError(
            f"the weights {name} reach {largest:.3g}, more than 16 bits hold (65504); "
            "leave the variant fp16 out"
        )
    return values.astype(np.float16)


def _integers(reference: Path, draft: Path) -> None:
    require("onnxruntime")
    # The exporter would advise, on the root logger, a pre-processing that changes nothing here.
    silenced = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            str(reference),
            str(draft),
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            weight_type=QuantType.QUInt8,
        )
    finally:
        logging.disable(silenced)


def _properties_of(reference: Path) -> dict[str, str]:
    model = require("onnx").load(str(reference), load_external_data=False)
    return {entry.key: entry.value for entry in model.metadata_props}


def _check(draft: Path, kind: str) -> None:
    onnx = require("onnx")
    onnx.checker.check_model(str(draft), full_check=kind != "int8")
    names = [node.name for node in onnx.load(str(draft)).graph.node]
    session = require("onnxruntime").InferenceSession(
        str(draft), providers=["CPUExecutionProvider"]
    )
    kinds = {value.type for value in (*session.get_inputs(), *session.get_outputs())}
    images = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    (output,) = session.run(None, {session.get_inputs()[0].name: images})
    reason = breach_by_name(names)
    if kinds != {"tensor(float)"}:
        reason = "its input or output is not float32"
    elif not np.isfinite(output).all():
        reason = "its embeddings hold NaN or infinity"
    if reason is not None:
        raise UserError(f"the variant {kind} was not kept: {reason}; leave it out")
