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
from pathlib import Path
from typing import Any

import arcface_fair

# Parts of the package that train nothing.
NOT_TRAINING = frozenset({"benchmark", "cli", "evaluation", "partitions", "bridge", "_patches"})
CHECKOUT = Path(arcface_fair.__file__).parents[1]


def made() -> dict[str, Any]:
    """Date, commit (None outside a checkout), whether files differ from it, digest of the training
    code, versions, machine.
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
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


@cache
def training_code() -> str:
    """16 hex digits of the source of everything that decides what a network learns."""
    parts = [p for p in CHECKOUT.glob("arcface_fair/*") if p.name not in NOT_TRAINING]
    folders = [*parts, *CHECKOUT.glob("*_plugin")]
    files = {path for part in folders for path in (*part.glob("**/*.py"), part)}
    text = hashlib.sha256()
    for path in sorted(path for path in files if path.suffix == ".py"):
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
