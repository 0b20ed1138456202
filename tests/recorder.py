# SPDX-License-Identifier: MIT
"""A plugin for tests: writes every loss down exactly, and can kill the run at a step."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcface_fair import dist
from arcface_fair.plugin.parts import Hook, Plugin

NAME = "recorder"


@dataclass(frozen=True)
class Settings:
    path: str = ""  # file of "step loss" lines, losses as hexadecimal floats
    kill_at: int = 0  # SIGKILL after this step, once its line is written; 0: never


class Recorder(Hook):
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.moments: list[str] = []

    def after_loss(self, session: Any) -> None:
        if dist.rank() == 0:
            line = f"{session.global_step} {session.loss.item().hex()}\n"
            with Path(self.settings.path).open("a") as file:
                file.write(line)

    def after_step(self, session: Any) -> None:
        if session.global_step == self.settings.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def build(settings: Settings, session: Any) -> Plugin:
    return Plugin(name=NAME, hooks=(Recorder(settings),))


def read_losses(path: Path) -> list[tuple[int, float]]:
    """(step, loss) in the order in which they were written."""
    lines = (line.split() for line in path.read_text().splitlines())
    return [(int(step), float.fromhex(loss)) for step, loss in lines]
