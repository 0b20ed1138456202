# SPDX-License-Identifier: MIT
"""Writes a backbone as one ONNX file that every InsightFace consumer reads in the same way.

The portable contract: one file with its weights inside; one float32 input
[batch, 3, 112, 112], RGB, (x - 127.5) / 127.5; one float32 output [batch, embedding size], not
normalised, no flip inside; only the batch is dynamic; opset 17 by default, 11 for MFR.
"""

from __future__ import annotations

import copy
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

import arcface_fair
from arcface_fair.errors import UserError
from arcface_fair.export.check import check_onnx
from arcface_fair.export.fold import RUNTIME_STD, fold_input_scale
from arcface_fair.optional import require

DEFAULT_OPSET, MFR_OPSET, LAST_OPSET = 17, 11, 20
# Protobuf's limit for one message; r2060 and vit_h do not fit. The graph beside the weights: 8 MB.
LARGEST_FILE = 2**31 - 2**23


def export_onnx(
    backbone: nn.Module,
    path: str | Path,
    *,
    opset: int = DEFAULT_OPSET,
    train_std: float = RUNTIME_STD,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Writes `backbone` to `path` and returns it; the backbone itself is not changed.

    The file is checked against the backbone before it gets its name; if it fails, nothing is
    left behind. The same weights and metadata give the same bytes. `metadata` joins the properties
    that are always there (normalisation, colour order, version).
    train_std: what the training divided x - 127.5 by; another value than the runtimes' 127.5 is
    folded into the first convolution of the file.
    Raises UserError without onnx and onnxruntime, for an opset outside 11..20, for a scale that
    cannot be folded, and where file and backbone disagree.
    """
    path = Path(path)
    for package in ("onnx", "onnxruntime"):
        require(package)
    if not MFR_OPSET <= opset <= LAST_OPSET:
        raise UserError(
            f"opset is {opset}; choose {MFR_OPSET} (old runtimes, MFR) to {LAST_OPSET}, "
            f"{DEFAULT_OPSET} is usual"
        )
    properties = _properties(metadata or {}, train_std)
    _check_size(backbone)
    plain = plain_copy(backbone)
    fold_input_scale(plain, train_std)
    with drafted(path) as draft:
        trace(plain, draft, opset)
        add_properties(draft, properties)
        check_onnx(draft, plain, opset)
    return path


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """A draft in a folder of its own beside `path`, moved there at the end; gone after an error.

    Raises UserError where the place cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            draft = Path(folder) / "model.onnx"
            yield draft
            os.replace(draft, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}); "
            "choose a folder that can be written and has room"
        ) from error


def _properties(metadata: Mapping[str, str], train_std: float) -> dict[str, str]:
    properties = {
        "arcface_fair_version": arcface_fair.__version__,
        "color": "RGB",
        "input_mean": "127.5",
        "input_std": f"{RUNTIME_STD:g}",
        "train_mean": "127.5",
        "train_std": f"{train_std:g}",
    }
    if train_std != RUNTIME_STD:
        properties["folded"] = f"first convolution times {RUNTIME_STD:g} / {train_std:g}"
    return {str(key): str(value) for key, value in metadata.items()} | properties


def _check_size(backbone: nn.Module) -> None:
    size = 4 * sum(tensor.numel() for tensor in backbone.state_dict().values())
    if size > LARGEST_FILE:
        raise UserError(
            f"the backbone's weights take {size / 2**30:.1f} GiB in float32, and one ONNX file "
            "holds at most 2 GiB; train a smaller network (r200 and vit_l fit)"
        )


def plain_copy(backbone: nn.Module) -> nn.Module:
    """A float32 copy on the CPU in eval mode, without autocast and without DDP around it."""
    inner = getattr(backbone, "module", backbone)
    plain = copy.deepcopy(inner).cpu().float().eval()
    for module in plain.modules():
        if isinstance(getattr(module, "fp16", None), bool):
            module.fp16 = False
    return plain.requires_grad_(False)


def trace(plain: nn.Module, path: Path, opset: int, *, batch: int | None = None) -> None:
    """Writes the model with the TorchScript exporter, for one batch size or (None) for any.

    The newer exporter (dynamo) puts weights into a second file, ignores requests for old opsets
    and writes other bytes the second time; InsightFace Server compares bytes.
    """
    names = {"images": {0: "batch"}, "embeddings": {0: "batch"}}
    with warnings.catch_warnings():
        for message in ("You are using the legacy TorchScript", "The feature will be removed"):
            warnings.filterwarnings("ignore", message, DeprecationWarning)
        torch.onnx.export(
            plain,
            (torch.zeros(batch or 2, 3, 112, 112),),
            path,
            opset_version=opset,
            dynamo=False,
            input_names=["images"],
            output_names=["embeddings"],
            dynamic_axes=None if batch else names,
        )


def add_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Adds metadata to the file, in the order of their names."""
    onnx = require("onnx")
    model = onnx.load(str(path), load_external_data=False)
    known = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, dict(sorted((known | dict(properties)).items())))
    path.write_bytes(model.SerializeToString(deterministic=True))
