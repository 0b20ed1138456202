# SPDX-License-Identifier: MIT
"""``arcface-fair export RUN``: one verified ONNX file for InsightFace."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a trained backbone as one ONNX file that InsightFace loads"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run's folder is enough; a bare .pt may need its network named."""
    parser.add_argument("model", help="a run's folder, or a .pt file with a backbone's weights")
    parser.add_argument("--network", help="name of the network, if it cannot be told: r50, ...")
    parser.add_argument("--embedding-size", type=int, help="features per face")
    parser.add_argument("--out", type=Path, help="file to write (default: model.onnx beside it)")
    opset = parser.add_mutually_exclusive_group()
    opset.add_argument("--opset", type=int, default=17, help="ONNX opset, 11 to 20 (default: 17)")
    opset.add_argument(
        "--mfr",
        dest="opset",
        action="store_const",
        const=11,
        help="opset 11 (old runtimes)",
    )


def run(args: argparse.Namespace) -> None:
    """Exports, and says what was written where."""
    import hashlib

    from arcface_fair.export import export_onnx, find_model, load_backbone

    model = find_model(args.model, args.network, args.embedding_size)
    backbone = load_backbone(model)
    out = args.out or model.weights.with_suffix(".onnx")
    facts = model.provenance() | ({"network": model.network} if model.network else {})
    path = export_onnx(backbone, out, opset=args.opset, metadata=facts)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB, opset {args.opset})")
    print(f"sha256 {digest}")
    print("it agrees with the backbone at batch 1, 3 and 32")
