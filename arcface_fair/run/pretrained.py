# SPDX-License-Identifier: MIT
"""Starts a backbone from released weights, and accounts for what was loaded and what was not.

A .pt file (model.pt, a checkpoint) must hold the whole network; only layers whose shape follows
the embedding size may differ and then keep their fresh weights. An ONNX file can be mapped where
its tensors still are those of the network; an exporter that folds BatchNorm into convolutions has
destroyed them (every usual export of an iresnet or a MobileFaceNet), and the file is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError
from arcface_fair.optional import require
from arcface_fair.run.embed import evaluating
from arcface_fair.run.weights import networks_for, read_state

LARGEST_DIFFERENCE = 1e-4  # of the embeddings' norm, between the ONNX file and the network
# Batches counted by BatchNorm: not in ONNX, nor in very old files; only cumulative means use it.
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Account:
    """What became of the file's tensors. fresh: name -> why the network kept its own weights."""

    source: Path
    loaded: tuple[str, ...]
    fresh: Mapping[str, str]

    def sentences(self) -> list[str]:
        """The account in words, for a log."""
        lines = [f"the backbone starts from {self.source}: {len(self.loaded)} tensors loaded"]
        for reason in sorted(set(self.fresh.values())):
            names = [name for name, why in self.fresh.items() if why == reason]
            shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
            lines.append(f"not loaded, because {reason}: {len(names)} tensors ({shown})")
        return lines


def start_from(backbone: nn.Module, network: str, path: str | Path) -> Account:
    """Loads `path` (.pt or .onnx) into `backbone`, the network of that name, in place.

    Raises UserError where the file cannot be read, is of another network (naming the one that it
    fits), or is an ONNX file that cannot be mapped; the backbone is then as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"config.init_backbone is {path}, which does not exist; correct the path")
    if path.suffix == ".onnx":
        return _from_onnx(backbone, network, path)
    state = read_state(path)
    own = backbone.state_dict()
    fresh = {name: "the file lacks it" for name in own if name not in state}
    resized = [n for n in own if n in state and own[n].shape != state[n].shape]
    unknown = [name for name in state if name not in own]
    wrong = [name for name in fresh if not name.endswith(_COUNTER)] + unknown
    wrong += [] if wrong else _not_of_the_size(backbone, network, resized)
    if wrong:
        fits = networks_for(state)
        remedy = f"it fits network {fits[0]!r}; set config.network" if fits else "give another file"
        raise UserError(
            f"config.init_backbone is {path}, which does not fit network {network!r} (first at "
            f"{wrong[0]}); {remedy}"
        )
    fresh |= dict.fromkeys(resized, "the file has another embedding size")
    return _load(backbone, {n: t for n, t in state.items() if n not in resized}, fresh, path)


def _load(
    backbone: nn.Module, state: Mapping[str, Tensor], fresh: Mapping[str, str], path: Path
) -> Account:
    backbone.load_state_dict(dict(state), strict=False)
    return Account(path, tuple(state), dict(fresh))


def _not_of_the_size(backbone: nn.Module, network: str, names: list[str]) -> list[str]:
    """Those of `names` whose shape does not follow the embedding size."""
    if not names:
        return []
    with torch.device("meta"):
        one, two = (get_model(network, num_features=n).state_dict() for n in (1, 2))
    return [name for name in names if name not in one or one[name].shape == two[name].shape]


def _from_onnx(backbone: nn.Module, network: str, path: Path) -> Account:
    onnx = require("onnx")
    try:
        graph = onnx.load(str(path)).graph
    except Exception as error:  # protobuf's errors are of no common family
        raise UserError(
            f"config.init_backbone is {path}, which cannot be read as an ONNX model "
            f"({type(error).__name__}); copy the file again"
        ) from error
    own = backbone.state_dict()
    norms = sum(name.endswith("running_mean") for name in own)
    kept = sum(node.op_type == "BatchNormalization" for node in graph.node)
    if kept < norms:
        raise UserError(
            f"config.init_backbone is {path}, which keeps {kept} of the {norms} BatchNorm layers "
            f"of network {network!r}: the others were folded into convolutions, and their scale "
            "and statistics cannot be had back; start from the .pt file of that model"
        )
    matched = {n: t for n, t in _tensors(graph).items() if n in own and own[n].shape == t.shape}
    before = {name: tensor.clone() for name, tensor in own.items()}
    fresh = {n: "no tensor of the file belongs to it" for n in own if n not in matched}
    account = _load(backbone, matched, fresh, path)
    if not _agrees(backbone, path):
        backbone.load_state_dict(before)
        raise UserError(
            f"config.init_backbone is {path}, of which {len(matched)} of {len(own)} tensors "
            f"were matched by name, and network {network!r} does not compute the same with them; "
            "start from the .pt file of that model, or correct config.network and "
            "config.embedding_size"
        )
    return account


def _tensors(graph: Any) -> dict[str, Tensor]:
    """The file's weights under the names that the network gives them."""
    numpy_helper = require("onnx").numpy_helper
    raw = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    for node in graph.node:  # equal tensors are stored once and passed on
        if node.op_type == "Identity" and node.input[0] in raw:
            raw[node.output[0]] = raw[node.input[0]]
    weights = dict(raw)
    for node in graph.node:
        if node.op_type in ("MatMul", "PRelu") and node.input[1] in raw:
            weight = raw[node.input[1]]
            name = f"{module_path(node.name)}.weight"
            weights[name] = weight.T.contiguous() if node.op_type == "MatMul" else weight.flatten()
    return weights


def module_path(node_name: str) -> str:
    """The module of a node: /layer1/layer1.0/bn1/BatchNormalization is of layer1.0.bn1."""
    parts: list[str] = []
    for part in node_name.strip("/").split("/")[:-1]:
        if parts and part.startswith(f"{parts[-1]}."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


def _agrees(backbone: nn.Module, path: Path) -> bool:
    session = require("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    (expected,) = session.run(None, {session.get_inputs()[0].name: images})
    device = next(backbone.parameters()).device
    with evaluating(backbone), torch.no_grad():
        output = backbone(torch.from_numpy(images).to(device)).float().cpu().numpy()
    if output.shape != expected.shape:
        return False
    return bool(np.abs(output - expected).max() < LARGEST_DIFFERENCE * np.linalg.norm(expected))
