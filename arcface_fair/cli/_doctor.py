# SPDX-License-Identifier: MIT
"""The parts of the doctor's report, each as lines of text.

C classes, N rows of the global batch, D embedding size, R processes.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import arcface_fair
from arcface_fair.errors import UserError

_PACKAGES = (
    "torch", "numpy", "opencv-python-headless", "easydict", "tensorboard", "libcst", "onnx",
    "onnxruntime", "insightface", "scikit-learn", "mxnet", "nvidia-dali-cuda120",
)  # fmt: skip
_MIB = 2**20


def environment() -> list[str]:
    """Versions, devices, backends, plugins."""
    import torch
    import torch.distributed as torch_dist

    from arcface_fair.plugin.loading import announced_plugins

    versions = [f"{name} {_version(name)}" for name in _PACKAGES]
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] or [
        f"CPU, {os.cpu_count()} cores"
    ]
    backends = [
        name
        for name, there in (
            ("gloo", torch_dist.is_available() and torch_dist.is_gloo_available()),
            ("nccl", torch_dist.is_available() and torch_dist.is_nccl_available()),
        )
        if there
    ]
    return [
        f"arcface-fair {arcface_fair.__version__}, Python {platform.python_version()}, "
        f"{platform.system()}",
        "packages: " + ", ".join(versions),
        f"devices: {', '.join(names)}",
        f"backends: {', '.join(backends) or 'none'}; "
        f"training would use {'nccl' if torch.cuda.is_available() else 'gloo'}",
        f"plugins: {', '.join(sorted(announced_plugins())) or 'none announced'}",
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def install(folder: Path) -> tuple[bool, str]:
    """Whether ``folder`` is an arcface_torch with a whole and current install."""
    from arcface_fair.cli._patching import installer

    try:
        tools = installer()
        return tools.status(tools.find_home(folder))
    except UserError as error:
        return False, str(error)


def read_config(name: str) -> Mapping[str, Any]:
    """The config that is meant by ``name``."""
    from arcface_fair.config import load_config

    return load_config(name)


def data(config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What lies where the config points, and what of it does not agree with the config."""
    from arcface_fair.data.groups import GroupTable
    from arcface_fair.data.training.dataset import check_labels, open_dataset
    from arcface_fair.plugin.loading import (
        load_plugin_modules,
        parse_plugin_settings,
        with_current_names,
    )

    lines, problems = [f"config {config['name']}"], []
    try:
        config = with_current_names(config)
        parse_plugin_settings(load_plugin_modules(config.get("plugins") or ()), config)
    except UserError as error:
        problems.append(str(error))
    if config.get("rec") is None:
        return lines, [*problems, "config.rec is not set; set it to the folder with train.rec"]
    try:
        faces = open_dataset(config["rec"])
        images, classes = faces.num_images, faces.num_classes
        lines.append(f"{config['rec']}: {images} images of {classes} identities")
        wanted = config.get("num_classes") or classes
        check_labels(faces, wanted)
    except UserError as error:
        return lines, [*problems, str(error)]
    if config.get("num_image") not in (None, images):
        problems.append(f"config.num_image is {config['num_image']}, the data hold {images}")
    if wanted != classes:
        problems.append(f"config.num_classes is {wanted}, the data hold {classes}")
    for name in config.get("val_targets") or ():
        path = Path(config["rec"]) / f"{name}.bin"
        if not path.is_file():
            problems.append(f"config.val_targets names {path}, which does not exist")
    table = Path(config.get("groups") or Path(config["rec"]) / "groups.tsv")
    if config.get("groups") or table.is_file():
        try:
            columns = GroupTable.read(table, wanted).attributes
            lines.append(f"{table}: {', '.join(columns)}")
        except UserError as error:
            problems.append(str(error))
    return lines, problems


def memory(
    classes: int, batch: int, size: int, world: int, sample_rate: float, optimizer: str
) -> list[str]:
    """What the head needs on each process, in MiB: centres, their state, and a step's matrices.

    Centres and gradient 4 C D / R bytes each, momentum the same again (Adam twice). The dense
    kernel holds three float32 matrices [N, K] with K = sample_rate C / R; the chunked one streams
    blocks of 64 MiB.
    """
    local = -(-classes // world)
    active = max(int(sample_rate * local), 1)
    rows = batch * world
    kept = 4 * local * size * (2 + (2 if optimizer == "adamw" else 1)) / _MIB
    dense = 3 * 4 * rows * active / _MIB
    features = 4 * rows * size * 3 / _MIB
    return [
        f"head for C = {classes}, N = {rows} (batch {batch} on {world} processes), D = {size}, "
        f"sample_rate {sample_rate:g}, {optimizer}: per process",
        f"  centres, gradient, optimiser {kept:.0f} MiB; gathered embeddings {features:.0f} MiB",
        f"  matrices of a step: dense {dense:.0f} MiB, chunked at most 64 MiB",
    ]
