# SPDX-License-Identifier: MIT
"""The smallest plugin: it changes nothing and counts the steps, also over a resume.

config.plugins = ["noop_plugin"]
config.noop = dict(every=100)
"""

import logging
from dataclasses import dataclass

from arcface_fair import Hook, Plugin, Session, check_range

NAME = "noop"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The block ``config.noop``."""

    every: int = 100  # steps between two lines in the log

    def __post_init__(self) -> None:
        """Raises UserError for a number below 1."""
        check_range("noop.every", self.every, 1)


class Counter(Hook):
    """Counts; what it counted is in every checkpoint."""

    def __init__(self, settings: Settings) -> None:
        self.every, self.steps = settings.every, 0

    def after_step(self, session: Session) -> None:
        """One step more."""
        self.steps += 1
        if self.steps % self.every == 0:
            logging.getLogger("arcface_fair.noop").info("noop: %d steps", self.steps)

    def state_dict(self) -> dict[str, int]:
        """What a checkpoint keeps."""
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Takes it back."""
        self.steps = state["steps"]


def build(settings: Settings, session: Session) -> Plugin:
    """The plugin's parts for one run."""
    counter = Counter(settings)
    return Plugin(name=NAME, hooks=(counter,), state=counter)
