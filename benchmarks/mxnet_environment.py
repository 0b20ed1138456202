# SPDX-License-Identifier: MIT
"""A Python with MXNet 1.9.1 in it, made once where that can be done.

MXNet is retired and imports with NumPy 1.23 at most, whose newest Python is 3.11: so it gets an
environment of its own, in the system's temporary folder or where ARCFACE_FAIR_MXNET says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("mxnet==1.9.1", "numpy==1.23.5", "opencv-python-headless==4.8.1.78")
_CHECK = "import mxnet, cv2; assert mxnet.__version__ == '1.9.1'"


class NoMXNetError(Exception):
    """Why there is none, in words."""


def mxnet_python() -> Path:
    """The environment's interpreter. Raises NoMXNetError where it cannot be had."""
    default = Path(tempfile.gettempdir()) / "arcface-fair-mxnet-1.9.1"
    place = Path(os.environ.get("ARCFACE_FAIR_MXNET", default))
    python = place / "bin" / "python"
    if python.exists() and _runs(python):
        return python
    base = sys.executable if sys.version_info[:2] == (3, 11) else shutil.which("python3.11")
    if base is None:
        raise NoMXNetError("there is no Python 3.11, the newest that NumPy 1.23 runs on")
    shutil.rmtree(place, ignore_errors=True)
    _call([base, "-m", "venv", str(place)], "the environment cannot be made")
    _call([str(python), "-m", "pip", "install", "-q", *PACKAGES], "MXNet cannot be installed")
    if not _runs(python):
        raise NoMXNetError("MXNet is installed but does not import")
    return python


def _runs(python: Path) -> bool:
    return subprocess.run([python, "-c", _CHECK], capture_output=True, check=False).returncode == 0


def _call(command: list[str], failing: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=540)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoMXNetError(f"{failing} ({error})") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise NoMXNetError(f"{failing} ({last})")
