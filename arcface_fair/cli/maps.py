# SPDX-License-Identifier: MIT
"""``arcface-fair maps RUN``: what a trained model attends to, averaged per group."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from arcface_fair.data.groups import GroupTable
from arcface_fair.data.training.dataset import open_dataset
from arcface_fair.errors import UserError
from arcface_fair.export import find_model, load_backbone
from arcface_fair.figures.maps import attention_maps, group_map, write_maps
from arcface_fair.judge.inputs import choose_device, read_sets
from arcface_fair.run.centres import load_head

HELP = "draw a model's average attention map group by group"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A run's folder; the images are verification sets, or the record the run was trained on."""
    parser.add_argument(
        "model", type=Path, metavar="RUN", help="run folder, with model.pt and its checkpoints"
    )
    parser.add_argument("--bins", nargs="+", type=Path, help="one verification .bin per group")
    parser.add_argument("--rec", type=Path, help="record or image folder (default: the run's)")
    parser.add_argument("--groups", type=Path, help="group table of that record")
    parser.add_argument("--attribute", help="its column (default: the run's, or the first)")
    parser.add_argument("--images", type=int, default=200, help="per group (default 200)")
    parser.add_argument("--device", default="auto", help="auto (default) | cpu | cuda | cuda:1")
    parser.add_argument("--out", type=Path, help="folder (default: RUN/maps)")


def run(args: argparse.Namespace) -> None:
    """Prints each group's area and writes maps.npz and maps.png."""
    if args.images < 1:
        raise UserError(f"--images is {args.images}; it must be at least 1, 200 is usual")
    model = find_model(args.model)
    if not model.config:
        raise UserError(
            f"{args.model} has no config.json, expected the folder of a training run; maps need "
            "its class centres and margin beside model.pt"
        )
    device = choose_device(args.device)
    head = load_head(args.model, model.config).to(device)
    backbone = load_backbone(model).to(device)
    sets = _from_bins(args) if args.bins else _from_record(args, model.config)
    groups = []
    with tqdm(total=sum(map(len, sets.values())), unit="img", leave=False) as bar:
        for name, images in sets.items():
            maps = attention_maps(backbone, head, images, on_images=bar.update)
            groups.append(group_map(name, images, maps))
    print(f"{'group':<16} {'images':>6}  pixels that hold half of the map")
    for group in groups:
        print(f"{group.name:<16} {group.images:>6}  {group.area:.3f}")
    for path in write_maps(args.out or args.model / "maps", groups):
        print(f"wrote {path}")


def _from_bins(args: argparse.Namespace) -> dict[str, NDArray[np.uint8]]:
    return {name: images[: args.images] for name, (images, _) in read_sets(args.bins).items()}


def _from_record(args: argparse.Namespace, config: Any) -> dict[str, NDArray[np.uint8]]:
    """The first images of every group, spread evenly over its positions."""
    rec = args.rec or Path(config.get("rec", ""))
    dataset = open_dataset(rec)
    table_path = args.groups or config.get("groups") or rec / "groups.tsv"
    table = GroupTable.read(table_path, dataset.num_classes)
    column = args.attribute or config.get("group_attribute") or next(iter(table.attributes))
    attribute = table[column]
    codes = attribute.codes[np.asarray(dataset.identities)]
    sets = {}
    for code, name in enumerate(attribute.names):
        positions = np.flatnonzero(codes == code)
        if len(positions):
            count = min(args.images, len(positions))
            chosen = positions[np.linspace(0, len(positions) - 1, count).astype(int)]
            sets[name] = np.stack([dataset.read(int(position)) for position in chosen])
    return sets
