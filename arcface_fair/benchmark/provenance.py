# SPDX-License-Identifier: MIT
"""Which code, which versions and which machine made a result, as plain values."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import arcface_fair

CHECKOUT = Path(arcface_fair.__file__).parents[1]


def made() -> dict[str, Any]:
    """Date, commit (None outside a checkout), whether files differ from it, versions, machine."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
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
