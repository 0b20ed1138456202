# SPDX-License-Identifier: MIT
"""Which code, which versions and which machine made a result, as plain values."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import arcface_fair

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGES = ("arcface_fair", "contrast_plugin", "drawn_faces", "gabn_plugin", "invreg_plugin")
# Parts of arcface_fair that train nothing, or of another host than the studies' own. A wheel adds
# the configs and the patches, which a checkout keeps beside the package.
NOT_TRAINING = tuple(
    f"{part}/"
    for part in (
        "_configs", "_patches", "bridge.py", "cli", "evaluation", "export", "figures",
        "hosts/upstream", "judge", "report",
    )
)  # fmt: skip


def made() -> dict[str, Any]:
    """Date, commit (None outside a checkout of this project), whether files differ from it, digest
    of the training code, versions, machine.
    """
    ours = in_our_checkout()
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") if ours else None,
        "dirty": ours and bool(_git("status", "--porcelain", "--untracked-files=no")),
        "code": training_code(),
        "versions": {
            "arcface-fair": arcface_fair.__version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("torch", "numpy", "scipy")},
            "opencv": _version("opencv-python-headless"),
        },
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
    }


def in_our_checkout() -> bool:
    """Whether the repository around this file is this project's, and not one that surrounds an
    environment in which somebody put it.
    """
    top = _git("rev-parse", "--show-toplevel")
    return top is not None and Path(top).resolve() == CHECKOUT


@cache
def training_code() -> str:
    """16 hex digits of the source of everything that decides what a network learns.

    Of the imported packages, wherever they lie: the same in a checkout and where it is installed.
    """
    text = hashlib.sha256()
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent
        for path in sorted(folder.rglob("*.py"), key=lambda path: path.relative_to(folder).parts):
            name = path.relative_to(folder).as_posix()
            if package == "arcface_fair" and f"{name}/".startswith(NOT_TRAINING):
                continue
            text.update(f"{package}/{name}\n".encode())
            text.update(path.read_bytes())
    return text.hexdigest()[:16]


def _git(*words: str) -> str | None:
    command = ["git", "-C", str(CHECKOUT), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
