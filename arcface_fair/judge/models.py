# SPDX-License-Identifier: MIT
"""Models for the command line: what turns images into embeddings, and the facts about it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from arcface_fair.errors import UserError
from arcface_fair.judge.sets import sha256

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Embed = Callable[[NDArray[np.uint8], Callable[[int], object]], NDArray[np.float32]]

# Operations that move or scale pixels. One that comes first hints at a graph that normalises.
NORMALISING = ("Sub", "Add", "Mul", "Div", "BatchNormalization")


def names_of(models: list[str]) -> list[str]:
    """Short names for the table's rows, whole paths where short ones would be equal."""
    short = [Path(model).stem if Path(model).is_file() else Path(model).name for model in models]
    names = short if len(set(short)) == len(short) else models
    if len(set(names)) < len(names):
        raise UserError(f"{models[0]} is given twice; give different models to compare")
    return names


def choose_device(wanted: str) -> str:
    """`wanted`, or for auto the GPU where there is one."""
    import torch

    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted != "cpu" and not (available and wanted.startswith("cuda")):
        raise UserError(f"--device is {wanted!r}, which torch does not find; use auto or cpu")
    return wanted


def embedder(model: str, args: argparse.Namespace) -> tuple[Embed, dict[str, str]]:
    """What turns images into embeddings for this model, and facts about it in words.

    A fact "warning" is one that the report must say aloud.
    """
    from arcface_fair.export import find_model, load_backbone
    from arcface_fair.export.runtime import OnnxEmbedder
    from arcface_fair.run.embed import embed_batches, embed_bin

    device, size = choose_device(args.device), args.batch_size
    if model.lower().endswith(".onnx"):
        onnx = OnnxEmbedder(model, device)
        facts = {"file": model, "SHA-256": sha256(Path(model)), **onnx_facts(Path(model))}
        return (lambda images, told: embed_batches(onnx, images, size, told)), facts
    found = find_model(model, args.network, args.embedding_size)
    backbone = load_backbone(found).to(device)
    facts = {"file": str(found.weights), "SHA-256": sha256(found.weights)}
    facts |= {"network": found.network} if found.network else {}
    facts["input"] = "RGB 112 x 112, (x - 127.5) / 127.5"
    return (lambda images, told: embed_bin(backbone, images, device, size, on_images=told)), facts


def onnx_facts(path: Path) -> dict[str, str]:
    """How InsightFace's rule normalises the input of this file, and whether that may be wrong."""
    import onnx

    nodes = onnx.load(str(path)).graph.node[:8]
    names = [node.name for node in nodes]
    inside = _starts(names, "Sub", "_minus") and _starts(names, "Mul", "_mul")
    if inside:
        return {"input": "RGB 112 x 112, raw: names of the first nodes say that the graph "
                "normalises"}  # fmt: skip
    facts = {"input": "RGB 112 x 112, (x - 127.5) / 127.5"}
    if nodes and nodes[0].op_type in NORMALISING:
        facts["warning"] = (
            f"{path.name} begins with {nodes[0].op_type}, as a graph does that normalises its "
            "input; by its node names InsightFace's loaders normalise as well. If so, these are "
            "the figures that they would get, and not the model's own"
        )
    return facts


def _starts(names: list[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)
