# SPDX-License-Identifier: MIT
"""``arcface-fair export RUN``: one verified ONNX file for InsightFace, and packs and side files."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arcface_fair.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from arcface_fair.export import TrainedModel
    from arcface_fair.export.pack import Pack

HELP = "write a trained backbone as one ONNX file that InsightFace loads"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run's folder is enough; a bare .pt may need its network and its input scale named."""
    parser.add_argument("model", help="a run's folder, or a .pt file with a backbone's weights")
    parser.add_argument(
        "--network", help="name of the network, where the weights fit several: r50, ..."
    )
    parser.add_argument("--embedding-size", type=int, help="features per face")
    parser.add_argument(
        "--train-std",
        type=float,
        metavar="STD",
        help="what the training divided x - 127.5 by: 127.5 (arcface_torch), 128 (GABN's code)",
    )
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--out", type=Path, help="file to write (default: model.onnx beside it)")
    target.add_argument(
        "--pack", type=Path, metavar="DIR", help="folder for FaceAnalysis(name=DIR), with manifest"
    )
    target.add_argument(
        "--server", type=Path, metavar="DIR", help="models folder for InsightFace Server"
    )
    parser.add_argument("--detector", type=Path, help="a detector to put into the pack")
    parser.add_argument("--model-id", help="name of the pack (default: the run's)")
    parser.add_argument("--model-version", default="", help="of --server (default: from the hash)")
    opset = parser.add_mutually_exclusive_group()
    opset.add_argument("--opset", type=int, default=17, help="ONNX opset, 11 to 20 (default: 17)")
    opset.add_argument(
        "--mfr",
        dest="opset",
        action="store_const",
        const=11,
        help="opset 11 (old runtimes)",
    )
    parser.add_argument(
        "--variant",
        nargs="+",
        default=[],
        metavar="KIND",
        help="also write side files: static1, fp16, int8; each is measured",
    )
    parser.add_argument(
        "--bins", nargs="+", type=Path, help="verification .bin files to measure variants on"
    )


def run(args: argparse.Namespace) -> None:
    """Exports, and says what was written where."""
    from arcface_fair.export import export_onnx, find_model, load_backbone

    sets = _sets(args) if args.variant else {}
    model = find_model(args.model, args.network, args.embedding_size)
    std = _train_std(model, args.train_std)
    folder = args.pack or args.server
    if args.detector and not folder:
        raise UserError("--detector is given without a pack; add --pack DIR or --server DIR")
    pack = _plan(args, model, folder) if folder else None
    backbone = load_backbone(model)
    out = pack.recogniser if pack else args.out or model.weights.with_suffix(".onnx")
    metadata = model.provenance() | ({"network": model.network} if model.network else {})
    path = export_onnx(backbone, out, opset=args.opset, train_std=std, metadata=metadata)
    _say(path, args.opset, std)
    if pack:
        _finish(pack, args)
    for kind in args.variant:
        _variant(kind, path, backbone, args.opset, std, sets)


def _train_std(model: TrainedModel, given: float | None) -> float:
    std = model.train_std if given is None else given
    if std is None:
        raise UserError(
            f"it is not known by what the training of {model.weights} divided x - 127.5 (there is "
            "no config.json beside it); give --train-std 127.5 for arcface_torch and arcface-fair, "
            "or --train-std 128 for GABN's code"
        )
    return std


def _plan(args: argparse.Namespace, model: TrainedModel, folder: Path) -> Pack:
    from arcface_fair.export.pack import plan_pack

    # A run's name may be a path or hold spaces; a pack's may not.
    name = model.provenance().get("run", "arcface-fair")
    model_id = args.model_id or re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")
    return plan_pack(folder, args.detector, model_id)


def _say(path: Path, opset: int, std: float) -> None:

    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB, opset {opset})")
    from arcface_fair.files import sha256

    print(f"sha256 {sha256(path)}")
    print("it agrees with the backbone at batch 1, 3 and 32")
    if std != 127.5:
        print(f"its first convolution was scaled, because the training divided by {std:g}")


def _finish(pack: Pack, args: argparse.Namespace) -> None:
    from arcface_fair.export.pack import LICENCE_NOTE, write_pack

    schema: Any = "package" if args.pack else "server"
    manifest = write_pack(pack, schema=schema, version=args.model_version)
    print(f"wrote {manifest} (model id {pack.model_id}, detector {pack.detector.name})")
    if args.pack:
        print(f'FaceAnalysis(name="{pack.folder}") loads it')
    else:
        print(LICENCE_NOTE.rstrip())


def _sets(args: argparse.Namespace) -> Any:
    from arcface_fair.export.variants import VARIANTS
    from arcface_fair.judge.inputs import bins_of_run, read_sets

    for kind in args.variant:
        if kind not in VARIANTS:
            raise UserError(f"there is no variant {kind!r}; choose from {', '.join(VARIANTS)}")
    try:
        bins = args.bins or bins_of_run(Path(args.model))
    except UserError as error:
        raise UserError(f"variants are measured on a verification set: {error}") from error
    return read_sets(bins)


def _variant(
    kind: str, reference: Path, backbone: nn.Module, opset: int, std: float, sets: Any
) -> None:
    """Writes one side file, measures what it loses, and keeps the figures in it."""
    from arcface_fair.export.onnx_file import add_properties
    from arcface_fair.export.runtime import OnnxEmbedder
    from arcface_fair.export.variants import VARIANTS, export_variant
    from arcface_fair.judge.protocols import agreement_by_group

    path = export_variant(kind, reference, backbone, opset=opset, train_std=std)
    rows = agreement_by_group(OnnxEmbedder(reference), OnnxEmbedder(path), sets)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB; {VARIANTS[kind]})")
    loss = []
    for row in rows:
        assert row.accuracies is not None
        before, after = row.accuracies
        loss.append(
            f"{row.group}: accuracy {before:.2%} -> {after:.2%} ({(after - before) * 100:+.2f} "
            f"points), cosine to the reference at least {row.agreement.cosine_min:.6f}"
        )
    print("\n".join(f"  {line}" for line in loss))
    add_properties(path, {"measured": "; ".join(loss)})
