# SPDX-License-Identifier: MIT
"""The seven moments of a run at which a plugin may act.

    before_train
    for each epoch:
        before_epoch
        for each step:
            forward, loss      after_loss
            backward           after_backward
            optimiser          after_step
        after_epoch
    after_train                (always runs, also after an error or an interrupt)

A hook watches and keeps state; it never changes the loss (a penalty does) or the images (an
augmentation does). Hooks own schedules: a hook may set a penalty's weight. Hooks run in the order
in which the run's plugins are listed, on every rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arcface_fair.plugin.session import Session


class Hook:
    """Base of all hooks; override the moments you need and leave the rest."""

    def before_train(self, session: Session) -> None:
        """Once, after a checkpoint was loaded and before the first epoch."""

    def before_epoch(self, session: Session) -> None:
        """``session.epoch`` is about to begin, or to go on after a resume in its middle."""

    def after_loss(self, session: Session) -> None:
        """The loss of ``session.step`` is known; its graph still exists."""

    def after_backward(self, session: Session) -> None:
        """Gradients are complete and averaged, not yet clipped or unscaled."""

    def after_step(self, session: Session) -> None:
        """The optimiser was called, or the step only accumulated. Keep it negligible."""

    def after_epoch(self, session: Session) -> None:
        """``session.epoch`` has ended; the checkpoint follows."""

    def after_train(self, session: Session) -> None:
        """The run is over, for whatever reason; let go of what you hold."""


MOMENTS = tuple(name for name in vars(Hook) if name.startswith(("before_", "after_")))
