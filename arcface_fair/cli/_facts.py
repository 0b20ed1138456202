# SPDX-License-Identifier: MIT
"""How a report was made: command, time, versions, data; and pictures that lie beside a run."""

from __future__ import annotations

import datetime
import platform
import shlex
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

PACKAGES = ("numpy", "torch", "onnxruntime", "scikit-learn", "fairlearn", "matplotlib")
# Where `arcface-fair maps` and `arcface-fair partitions` put their pictures.
PICTURES = {"maps": "attention maps", "partitions": "partitions"}


def run_facts(sets: Mapping[str, str]) -> dict[str, str]:
    """Names and values for the page's last section."""
    import arcface_fair

    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": shlex.join(["arcface-fair", *sys.argv[1:]]),
        "made": now,
        "arcface-fair": arcface_fair.__version__,
        "versions": ", ".join(versions),
        **{f"set {name}": text for name, text in sets.items()},
    }


def figures_of_runs(models: list[str]) -> tuple[tuple[str, bytes], ...]:
    """Pictures of attention and partitions, and the plugins' own, in a model's run folder."""
    from arcface_fair.plugin.figures import read_figures

    found = []
    for model in models:
        folder = Path(model) if Path(model).is_dir() else Path(model).parent
        for name, what in PICTURES.items():
            for picture in sorted((folder / name).glob("*.png")):
                found.append((f"{folder.name}, {what}: {picture.stem}", picture.read_bytes()))
        for figure in read_figures(folder):
            title = f"{folder.name}, {figure.caption}"
            found.append((title, (folder / figure.path).read_bytes()))
    return tuple(found)
