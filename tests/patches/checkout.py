# SPDX-License-Identifier: MIT
"""A checkout of InsightFace for tests that need the real trainer: ARCFACE_TORCH names it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SINCE = "2022-07-01"


def checkout() -> Path:
    """The arcface_torch folder named by ARCFACE_TORCH; skips the test, saying so, without it."""
    named = os.environ.get("ARCFACE_TORCH")
    if not named:
        pytest.skip("set ARCFACE_TORCH to recognition/arcface_torch of a checkout of InsightFace")
    folder = Path(named)
    inner = folder / "recognition" / "arcface_torch"
    return inner if inner.is_dir() else folder


def git(folder: Path, *arguments: str) -> str:
    """What git says in ``folder``."""
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def fresh_copy(target: Path) -> Path:
    """The checkout's committed files as a repository of their own in ``target``."""
    archive = subprocess.run(
        ["git", "-C", str(checkout()), "archive", "HEAD", "."], capture_output=True, check=True
    )
    return as_repository(archive.stdout, target)


def version(commit: str, target: Path) -> Path:
    """The arcface_torch of ``commit`` as a repository of its own in ``target``."""
    source = checkout()
    prefix = git(source, "rev-parse", "--show-prefix").rstrip("/") or "."
    archive = subprocess.run(
        ["git", "-C", git(source, "rev-parse", "--show-toplevel"), "archive", f"{commit}:{prefix}"],
        capture_output=True, check=True,
    )  # fmt: skip
    return as_repository(archive.stdout, target)


def versions() -> list[str]:
    """Commits since July 2022 that changed code in arcface_torch, newest first."""
    log = git(checkout(), "log", "--format=%h", f"--since={SINCE}", "--", "*.py")
    return log.split()


def as_repository(archive: bytes, target: Path) -> Path:
    """Unpacks a tar into ``target`` and commits it, so that `git status` can be asked."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive, check=True)
    git(target, "init", "-q")
    git(target, "add", "-A")
    git(target, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "upstream")
    return target
