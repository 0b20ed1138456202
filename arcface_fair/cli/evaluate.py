# SPDX-License-Identifier: MIT
"""``arcface-fair evaluate MODEL --bins ...``: accuracy per group, with mean, worst and spread."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from arcface_fair.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from arcface_fair.evaluation import FairnessTable

    Embed = Callable[[NDArray[np.uint8], Callable[[int], object]], NDArray[np.float32]]
    Sets = dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]]

HELP = "measure a model's verification accuracy group by group"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One model gives a table; two give the tables side by side with their difference."""
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="run folder, .pt backbone, or InsightFace .onnx"
    )
    parser.add_argument("--bins", nargs="+", type=Path, help="one verification .bin per group")
    parser.add_argument("--network", help="network of a bare .pt file, if it cannot be told")
    parser.add_argument("--embedding-size", type=int, help="features per face of a bare .pt file")
    parser.add_argument("--batch-size", type=int, default=64, help="images at a time")
    parser.add_argument("--device", default="auto", help="auto (default) | cpu | cuda | cuda:1")
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the figures here")


def run(args: argparse.Namespace) -> None:
    """Prints the table; writes it as JSON where asked."""
    from arcface_fair.evaluation import side_by_side

    if args.batch_size < 1:
        raise UserError(f"--batch-size is {args.batch_size}; it must be at least 1, 64 is usual")
    bins = args.bins or bins_of_run(Path(args.models[0]))
    sets = read_sets(bins)
    tables = {
        name: judge(embedder(model, args), sets, name)
        for name, model in zip(names_of(args.models), args.models, strict=True)
    }
    print(side_by_side(tables))
    if len(tables) == 2:
        print(interval_in_words(*tables.values()))
    if args.json:
        write_json(args.json, tables, bins)
        print(f"\nwrote {args.json}")


def bins_of_run(model: Path) -> list[Path]:
    """The verification sets that the config of a model's run names."""
    from arcface_fair.export import find_model

    config = {} if model.suffix == ".onnx" else find_model(model).config
    names = config.get("val_targets")
    if not names or "rec" not in config:
        raise UserError(
            f"no --bins were given, and {model} has no config.json with val_targets beside it; "
            "give one verification .bin per group"
        )
    return [Path(config["rec"]) / f"{name}.bin" for name in names]


def group_name(path: Path) -> str:
    """The group in a file's name: rfw_african.bin and African_test.bin are african and African."""
    return path.stem.removeprefix("rfw_").removesuffix("_test")


def read_sets(bins: Iterable[Path]) -> Sets:
    """Decoded images and same-or-not by group. Raises UserError for two sets of one name."""
    from arcface_fair.data.bins import decode_bin, load_bin

    sets: Sets = {}
    for path in bins:
        name = group_name(path)
        if name in sets:
            raise UserError(f"two verification sets are named {name!r}; rename one of the files")
        images, same = load_bin(path)
        sets[name] = decode_bin(images, str(path)), same
    return sets


def names_of(models: list[str]) -> list[str]:
    """Short names for the table's rows, whole paths where short ones would be equal."""
    short = [Path(model).stem if Path(model).is_file() else Path(model).name for model in models]
    names = short if len(set(short)) == len(short) else models
    if len(set(names)) < len(names):
        raise UserError(f"{models[0]} is given twice; give different models to compare")
    return names


def embedder(model: str, args: argparse.Namespace) -> Embed:
    """What turns images into embeddings for this model."""
    from arcface_fair.evaluation.embed import embed_batches, embed_bin
    from arcface_fair.export import load_backbone
    from arcface_fair.export.runtime import OnnxEmbedder

    device = choose_device(args.device)
    size = args.batch_size
    if model.endswith(".onnx"):
        embed = OnnxEmbedder(model, device)
        return lambda images, told: embed_batches(embed, images, size, told)
    backbone = load_backbone(model, args.network, args.embedding_size).to(device)
    return lambda images, told: embed_bin(backbone, images, device, size, on_images=told)


def choose_device(wanted: str) -> str:
    """`wanted`, or for auto the GPU where there is one."""
    import torch

    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted != "cpu" and not (available and wanted.startswith("cuda")):
        raise UserError(f"--device is {wanted!r}, which torch does not find; use auto or cpu")
    return wanted


def judge(embed: Embed, sets: Sets, name: str) -> FairnessTable:
    """The table of one model, with a progress bar over all images."""
    from tqdm import tqdm

    from arcface_fair.evaluation import group_table, squared_distances

    total = sum(len(images) for images, _ in sets.values())
    pairs = {}
    with tqdm(total=total, desc=name, unit="img", leave=False) as bar:
        for group, (images, same) in sets.items():
            embeddings = embed(images, bar.update)
            try:
                pairs[group] = squared_distances(embeddings[0::2], embeddings[1::2]), same
            except UserError as error:
                raise UserError(f"{name}, group {group!r}: {error}") from error
    return group_table(pairs)


def interval_in_words(first: FairnessTable, second: FairnessTable) -> str:
    """The difference over all pairs with its interval."""
    import numpy as np

    from arcface_fair.evaluation import paired_bootstrap

    old, new = (np.concatenate([row.correct for row in t.rows]) for t in (first, second))
    interval = paired_bootstrap(new, old)
    return f"Over all pairs together: {interval} (paired bootstrap, {interval.level:.0%} interval)."


def write_json(path: Path, tables: dict[str, FairnessTable], bins: Iterable[Path]) -> None:
    """Figures, the sets they come from, and the version, whole or not at all."""
    import arcface_fair
    from arcface_fair.data.atomic import atomic_files

    found = {
        "version": arcface_fair.__version__,
        "sets": {group_name(b): str(b) for b in bins},
        "models": {name: table.as_dict() for name, table in tables.items()},
    }
    with atomic_files(path) as (file,):
        file.write(json.dumps(found, indent=1, allow_nan=False).encode() + b"\n")
