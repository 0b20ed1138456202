# SPDX-License-Identifier: MIT
"""Learning rates as closed functions of the step, so that a resumed run needs only the step.

poly   warm-up, then linear decay to zero at the last step (arcface_torch's schedule).
step   warm-up, then divided by 10 at each of the listed epochs (both papers).

In both, step 0 runs at the base rate even with a warm-up, and step k of the warm-up at k / warmup
of it: that is what arcface_torch does, and the two hosts must agree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer


def poly_factor(step: int, warmup: int, total: int) -> float:
    """Factor of the base rate at ``step`` (from 0), 0..1; 0 from ``total`` on."""
    if step == 0:
        return 1.0
    if step <= warmup:
        return step / warmup
    return max(0.0, 1.0 - (step - warmup) / (total - warmup))


def step_factor(step: int, warmup: int, drops: tuple[int, ...]) -> float:
    """Factor of the base rate at ``step``: 0.1 for every entry of ``drops`` (steps) reached."""
    if 0 < step <= warmup:
        return step / warmup
    return 0.1 ** sum(step >= drop for drop in drops)


class Schedule:
    """Sets every group's rate to base * factor(step); call ``step()`` once per training step.

    Not a torch ``LRScheduler``, which warns whenever an optimiser step is left out, as gradient
    accumulation and loss scaling do on purpose. Its state has that class's keys, so that
    checkpoints can cross between the hosts.
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        self.optimizer = optimizer
        self.factor = factor
        self.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.last_step = 0
        self._apply()

    def step(self) -> None:
        """Moves on by one training step."""
        self.last_step += 1
        self._apply()

    def rates(self) -> list[float]:
        """The rate of each parameter group at the current step."""
        return [base * self.factor(self.last_step) for base in self.base_lrs]

    def get_last_lr(self) -> list[float]:
        """As torch's schedulers name it."""
        return self.rates()

    def _apply(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates(), strict=True):
            group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Numbers only; the factor is rebuilt from the config."""
        return {
            "base_lrs": self.base_lrs,
            "last_epoch": self.last_step,
            "_step_count": self.last_step + 1,
            "_last_lr": self.rates(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back the step; base rates and factor are the config's."""
        self.last_step = state["last_epoch"]
        self._apply()


def build_schedule(
    optimizer: Optimizer,
    kind: str,
    *,
    steps_per_epoch: int,
    num_epochs: int,
    warmup_epochs: float,
    drop_epochs: tuple[float, ...],
) -> Schedule:
    """The schedule of a run. ``drop_epochs`` may be fractions, as the papers' iterations are."""
    warmup = int(steps_per_epoch * warmup_epochs)
    if kind == "poly":
        total = steps_per_epoch * num_epochs
        return Schedule(optimizer, lambda step: poly_factor(step, warmup, total))
    drops = tuple(round(epoch * steps_per_epoch) for epoch in drop_epochs)
    return Schedule(optimizer, lambda step: step_factor(step, warmup, drops))
