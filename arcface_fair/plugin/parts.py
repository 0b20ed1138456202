# SPDX-License-Identifier: MIT
"""The parts that a plugin may contribute to a run.

    Hook            acts at the seven events of a run; watches, schedules, keeps state
    Penalty         one scalar that joins the loss
    Augmentation    changes the images before the forward pass
    Margin          a margin that ``config.margin`` may choose by name
    Figure          a picture that the plugin writes into the run's folder
    Plugin          these parts together, and what a checkpoint keeps of them

The seven events:

    before_train
    for each epoch:
        before_epoch
        for each step:
            forward, loss      after_loss
            backward           after_backward
            optimiser          after_step
        after_epoch
    after_train                (always runs, also after an error or an interrupt)

A hook never changes the loss (a penalty does) or the images (an augmentation does). Hooks own
schedules: a hook may set a penalty's weight. They run in the order in which the run's plugins are
listed, on every rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from arcface_fair.plugin.context import BatchStep, LossStep
    from arcface_fair.plugin.session import Session


class Hook:
    """Base of all hooks; override the events you need and leave the rest."""

    def before_train(self, session: Session) -> None:
        """Once, after a checkpoint was loaded and before the first epoch."""

    def before_epoch(self, session: Session) -> None:
        """``session.epoch`` is about to begin, or to go on after a resume in its middle."""

    def after_loss(self, session: Session) -> None:
        """``session.loss`` and ``session.loss_step`` are known; their graph still exists."""

    def after_backward(self, session: Session) -> None:
        """Gradients are complete and averaged, not yet clipped or unscaled."""

    def after_step(self, session: Session) -> None:
        """The optimiser was called, or the step only accumulated. Keep it negligible."""

    def after_epoch(self, session: Session) -> None:
        """``session.epoch`` has ended; the checkpoint follows."""

    def after_train(self, session: Session) -> None:
        """The run is over, for whatever reason; let go of what you hold."""


MOMENTS = tuple(name for name in vars(Hook) if name.startswith(("before_", "after_")))


@dataclass
class Penalty:
    """A named term of the loss; the head adds weight * value.

    ``function``: LossStep -> finite scalar tensor with graph, equal on all ranks. It has no
    schedule and needs no collectives: what it reads of the whole batch is the same on every rank.
    ``weight``: factor of the term, >= 0; at 0 the function is not called.
    """

    name: str
    function: Callable[[LossStep], Tensor]
    weight: float = 1.0


@dataclass
class Augmentation:
    """A named change of the images before the forward pass.

    ``function``: BatchStep -> images [B, 3, H, W] of the same shape and dtype. It may run second
    passes (``session.backbone``, ``session.head.statistics``) as long as all ranks do.
    """

    name: str
    function: Callable[[BatchStep], Tensor]


@dataclass(frozen=True)
class Margin:
    """A margin that ``config.margin = dict(name=..., ...)`` may choose; see docs/margins.md.

    ``build``: the margin's class, or a function that returns one. The block's other keys are its
    keyword arguments. A parameter ``s`` that the block leaves out gets ``config.margin_scale``.
    A plugin's module lists its margins as ``MARGINS``, because the head is built before plugins.
    """

    name: str
    build: Callable[..., Any]


@dataclass(frozen=True)
class Figure:
    """A picture for the reader of the run; reports show it.

    ``path``: PNG in the run's folder, relative to it, "*" for any name ("mine/epoch_*.png").
    ``caption``: one sentence that says what the picture shows.
    """

    path: str
    caption: str


class Stateful(Protocol):
    """State that a checkpoint keeps: tensors, numbers, strings, and dicts or lists of these."""

    def state_dict(self) -> dict[str, Any]:
        """What must survive a restart; the same on every rank."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""


@dataclass
class Plugin:
    """The parts that one plugin contributes to a run; ``name`` is its module's NAME.

    old_state: finds this plugin's state among all plugins' states of a checkpoint that an earlier
    version wrote, where it lies under another name; None where it is not there either.
    """

    name: str
    hooks: tuple[Hook, ...] = ()
    penalties: tuple[Penalty, ...] = ()
    augmentations: tuple[Augmentation, ...] = ()
    figures: tuple[Figure, ...] = ()
    state: Stateful | None = None
    old_state: Callable[[Mapping[str, Any]], dict[str, Any] | None] | None = None
