# SPDX-License-Identifier: MIT
"""``arcface-fair partitions WORK_DIR``: what a run's partitions consist of and follow."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from arcface_fair.errors import UserError
from arcface_fair.figures import PartitionedRun, open_run
from arcface_fair.figures.attention import draw_group_maps, group_maps
from arcface_fair.figures.composition import draw_composition, draw_follows, draw_shares, summarise
from arcface_fair.figures.pictures import draw_faces, draw_plane, to_plane
from arcface_fair.figures.run import backbone_of, moments
from arcface_fair.files import atomic_files
from arcface_fair.judge.inputs import choose_device
from arcface_fair.run.embed import embed_bin

HELP = "look at a run's identity partitions: composition, faces, features, attention"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The run's folder; where its record and tables are, if elsewhere; how much to look at."""
    parser.add_argument("run_folder", type=Path, metavar="WORK_DIR", help="the run's output folder")
    parser.add_argument("--rec", type=Path, help="its record or image folder, if it was moved")
    parser.add_argument(
        "--groups", type=Path, metavar="TSV", help="group table (default: the run's)"
    )
    parser.add_argument(
        "--attributes", type=Path, nargs="+", metavar="TSV", default=(),
        help="further tables to compare with (default: attributes.tsv beside the record)",
    )  # fmt: skip
    parser.add_argument("--by", metavar="COLUMN", help="group pictures by this column")
    parser.add_argument("--images", type=int, default=300, help="most per group (default 300)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images (default 0)")
    parser.add_argument("--device", default="auto", help="auto (default) | cpu | cuda | cuda:1")
    parser.add_argument("--no-faces", action="store_true", help="leave the sample faces out")
    parser.add_argument("--no-plane", action="store_true", help="leave the plane of features out")
    parser.add_argument("--no-cam", action="store_true", help="leave the Grad-CAM averages out")


def run(args: argparse.Namespace) -> None:
    """Prints what the partitions follow and writes the figures and their numbers."""
    if args.images < 1:
        raise UserError(f"--images is {args.images}; it must be at least 1, 300 is usual")
    partitioned = open_run(
        args.run_folder,
        rec=args.rec,
        groups=args.groups,
        attributes=args.attributes,
        group=args.by,
    )
    folder = args.run_folder / "partitions"
    written = compositions(partitioned, folder)
    if not args.no_faces:
        written += faces(partitioned, folder, args.seed)
    if not (args.no_plane and args.no_cam):
        positions = spread_positions(partitioned, args.images, args.seed)
        written += networks(partitioned, folder, positions, args)
    for path in written:
        print(f"wrote {path}")


def compositions(partitioned: PartitionedRun, folder: Path) -> list[Path]:
    """Figures 7 and 1a of the paper, what follows what, and the numbers; prints the latter."""
    summary = summarise(partitioned)
    for number, stage in summary["stages"].items():
        print(stage_in_words(number, stage))
    if not partitioned.grouped:
        print("No groups are known: pictures are grouped by the newest partition itself.")
    path = folder / "composition.json"
    with atomic_files(path) as (file,):
        file.write(json.dumps(summary, indent=1).encode() + b"\n")
    drawn = (
        draw_composition(partitioned, folder / "composition.png"),
        draw_follows(partitioned, folder / "follows.png"),
        draw_shares(partitioned, folder / "shares.png"),
    )
    return [path, *(figure for figure in drawn if figure is not None)]


def stage_in_words(number: str, stage: dict[str, Any]) -> str:
    """Sizes, likeness to earlier stages, and the attributes above chance, most telling first."""
    sizes = ", ".join(f"{name} {size}" for name, size in stage["sizes"].items())
    lines = [f"stage {number}: {sizes}"]
    for other, values in stage["earlier_stages"].items():
        lines.append(
            f"  against stage {other}: NMI {values['nmi']:.3f}, "
            f"match {values['best_match_accuracy']:.3f}"
        )
    telling = [(n, v) for n, v in stage["attributes"].items() if v["nmi"] > v["chance"]][:5]
    for name, values in telling:
        lines.append(
            f"  follows {name}: NMI {values['nmi']:.3f} (chance {values['chance']:.3f}), "
            f"match {values['best_match_accuracy']:.3f}"
        )
    if stage["attributes"] and not telling:
        lines.append("  follows none of the known attributes more than chance would")
    return "\n".join(lines)


def faces(partitioned: PartitionedRun, folder: Path, seed: int) -> list[Path]:
    """People of every subset, one picture per stage."""
    return [
        draw_faces(partitioned, stage, folder / f"faces_stage_{stage.number}.png", seed=seed)
        for stage in partitioned.stages
    ]


def spread_positions(partitioned: PartitionedRun, most: int, seed: int) -> np.ndarray:
    """Positions of up to ``most`` random images per group, rising."""
    generator = np.random.default_rng(seed)
    chosen = [
        generator.permutation(partitioned.images_of(code))[:most]
        for code in range(len(partitioned.group.names))
    ]
    positions = np.sort(np.concatenate(chosen))
    if not len(positions):
        raise UserError(
            f"no image belongs to a group of {partitioned.group_name!r}; give a table that fits "
            "the record with --groups"
        )
    return positions


def networks(
    partitioned: PartitionedRun, folder: Path, positions: np.ndarray, args: argparse.Namespace
) -> list[Path]:
    """What needs the network: the plane of features and the Grad-CAM averages."""
    device = choose_device(args.device)
    images = np.stack([partitioned.dataset.read(int(position)) for position in positions])
    kept = list(moments(partitioned.folder, int(partitioned.config.get("num_epoch", 1))))
    written = []
    if not args.no_plane:
        written += plane(partitioned, folder, positions, images, kept[-1], device, args.seed)
    if not args.no_cam:
        written += attention(partitioned, folder, positions, images, kept, device)
    return written


def plane(
    partitioned: PartitionedRun, folder: Path, positions: np.ndarray, images: np.ndarray, last: Any,
    device: str, seed: int,
) -> list[Path]:  # fmt: skip
    """Features by group and by subset (figure 8)."""
    backbone = backbone_of(partitioned.folder, last).to(device)
    with tqdm(total=len(images), desc="features", unit="img", leave=False) as bar:
        features = embed_bin(backbone, images, device, flip=False, on_images=bar.update)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    places, method = to_plane(features, seed)
    if method != "UMAP":
        print('Features are laid out by PCA; for UMAP: pip install "arcface-fair[umap]"')
    identities = partitioned.dataset.identities[positions]
    arrays = folder / "plane.npz"
    with atomic_files(arrays) as (file,):
        np.savez(file, places=places, identities=identities, positions=positions, method=method)
    return [arrays, draw_plane(partitioned, places, identities, method, folder / "plane.png")]


def attention(
    partitioned: PartitionedRun,
    folder: Path,
    positions: np.ndarray,
    images: np.ndarray,
    kept: list[Any],
    device: str,
) -> list[Path]:
    """Grad-CAM averages per group and kept epoch (figures 1c and 9)."""
    identities = partitioned.dataset.identities[positions]
    codes, groups = np.unique(partitioned.group.codes[identities], return_inverse=True)
    names = [partitioned.group.names[code] for code in codes]
    if not partitioned.grouped:
        names = [f"{partitioned.group_name} {name}" for name in names]
    world_size = int(partitioned.config.get("world_size", 1))
    with tqdm(total=len(images) * len(kept), desc="Grad-CAM", unit="img", leave=False) as bar:
        maps = group_maps(
            partitioned.folder, kept, world_size, images, identities, groups, names,
            device=device, on_images=bar.update,
        )  # fmt: skip
    if len(kept) == 1:
        print("One network is kept; for maps over epochs train with config.keep_epochs = 1")
    arrays = folder / "gradcam.npz"
    with atomic_files(arrays) as (file,):
        np.savez(
            file, names=np.array(maps.names), epochs=np.array([m.epoch for m in maps.moments]),
            maps=maps.maps, outside=maps.outside, images=np.array(maps.images),
            targets=np.array(maps.targets),
        )  # fmt: skip
    return [arrays, draw_group_maps(maps, folder / "gradcam.png")]
