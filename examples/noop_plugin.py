# SPDX-License-Identifier: MIT
"""The smallest plugin with state: ``config.plugins = ["noop_plugin"]``, ``config.noop = {}``."""

from dataclasses import dataclass

from arcface_fair import Hook, Plugin, Session

NAME = "noop"


@dataclass(frozen=True)
class Settings:
    """The block ``config.noop``."""

    start: int = 0  # where counting begins


class Counter(Hook):
    """Counts the steps of the run, over all resumes, and changes nothing."""

    def __init__(self, start: int) -> None:
        self.steps = start

    def after_step(self, session: Session) -> None:  # noqa: D102
        self.steps += 1

    def state_dict(self) -> dict[str, int]:  # noqa: D102
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:  # noqa: D102
        self.steps = state["steps"]


def build(settings: Settings, session: Session) -> Plugin:
    """The parts of one run."""
    counter = Counter(settings.start)
    return Plugin(name=NAME, hooks=(counter,), state=counter)
