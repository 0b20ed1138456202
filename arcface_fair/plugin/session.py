# SPDX-License-Identifier: MIT
"""One training run as its plugins see it, and the moments at which they are called.

This is the loop of both hosts, the embedded trainer and the installed arcface_torch:

    session.before_train()
    for epoch in epochs:
        session.before_epoch(epoch)
        for images, labels in batches:
            images = session.before_forward(images, labels)   # augmentations
            loss = head(backbone(images), labels)             # penalties join inside the head
            session.after_loss(loss)
            loss.backward()
            session.after_backward()
            optimizer.step()
            session.after_step()
        session.after_epoch()
    session.after_train()

B rows on this rank, N rows of the gathered (global) batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from arcface_fair.errors import UserError
from arcface_fair.plugin.hooks import MOMENTS
from arcface_fair.plugin.loading import Plugin, parse_plugin_settings

if TYPE_CHECKING:
    from arcface_fair.data.groups import GroupTable
    from arcface_fair.data.training.dataset import FaceDataset
    from arcface_fair.head import PartialFC, Statistics


@dataclass
class Step:
    """What is known of the current step; fields fill up as it goes on.

    From the start, of this rank: ``images`` float [B, 3, H, W] in -1..1, ``labels`` int64 [B],
    ``groups`` int64 [B] (-1 = unknown). Once the head was called: ``embeddings`` [B, D] of this
    rank; ``batch_labels`` int64 and ``ce``, ``entropy``, ``pmax`` [N] of the global batch, equal
    on all ranks and with graph.
    """

    epoch: int
    global_step: int
    total_steps: int
    images: Tensor
    labels: Tensor
    groups: Tensor
    embeddings: Tensor | None = None
    batch_labels: Tensor | None = None
    ce: Tensor | None = None
    entropy: Tensor | None = None
    pmax: Tensor | None = None
    loss: Tensor | None = None


def no_log(tag: str, value: float | Tensor, step: int) -> None:
    """The log of a session that nobody listens to."""


class Session:
    """Holds what plugins may see of a run and calls them at the right moments.

    ``backbone`` is the bare module, without DDP, and ``head`` this rank's `PartialFC`; second
    passes go through these two. ``dataset`` gives identities and images by position.
    ``log(tag, value, step)`` writes a curve. ``shared`` is where one plugin publishes what
    another may read, by name, without either importing the other.
    """

    def __init__(
        self,
        *,
        config: Mapping[str, Any],
        plugin_modules: list[ModuleType],
        backbone: nn.Module,
        head: PartialFC,
        dataset: FaceDataset,
        group_table: GroupTable | None,
        group_attribute: str | None,
        num_classes: int,
        num_epochs: int,
        total_steps: int,
        batch_size: int,
        num_workers: int = 0,
        skip_bad_images: bool = False,
        seed: int,
        work_dir: Path,
        device: torch.device,
        log: Callable[[str, float | Tensor, int], None] = no_log,
    ) -> None:
        self.backbone = backbone
        self.head = head
        self.dataset = dataset
        self.group_table = group_table
        self.num_classes = num_classes
        self.num_epochs = num_epochs
        self.total_steps = total_steps
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.skip_bad_images = skip_bad_images
        self.seed = seed
        self.work_dir = work_dir
        self.device = device
        self.epoch = 0
        self.global_step = 0
        self.step: Step | None = None
        self.shared: dict[str, Any] = {}
        self._log = log
        self.group_attribute = _chosen_column(group_table, group_attribute)
        self._group_of_class = _group_codes(group_table, group_attribute, num_classes).to(device)
        settings = parse_plugin_settings(plugin_modules, config)
        self.plugins: list[Plugin] = [
            module.build(block, self)
            for module, block in zip(plugin_modules, settings, strict=True)
        ]
        self.penalties = {p.name: p for plugin in self.plugins for p in plugin.penalties}
        head.terms.append(self._weighted_penalties)
        head.register_forward_pre_hook(self._keep_embeddings)

    # The moments, in the order of the loop above.

    def before_train(self) -> None:
        """Call once, after a checkpoint was loaded."""
        self._at("before_train")

    def before_epoch(self, epoch: int) -> None:
        """Call when ``epoch`` (from 0) begins, or goes on after a resume."""
        self.epoch = epoch
        self._at("before_epoch")

    def before_forward(
        self, images: Tensor, labels: Tensor, groups: Tensor | None = None
    ) -> Tensor:
        """Opens a step and returns the images [B, 3, H, W] that the backbone shall see.

        ``groups`` int64 [B] are taken where the host's batch carries them; else the labels are
        looked up in the group table, and without one every group is -1.
        """
        self.global_step += 1
        if groups is None:
            groups = self._group_of_class[labels.reshape(-1).long()]
        self.step = Step(
            self.epoch, self.global_step, self.total_steps, images, labels, groups.reshape(-1)
        )
        self.head.groups = self.step.groups
        for plugin in self.plugins:
            for augmentation in plugin.augmentations:
                self.step.images = augmentation.function(self.step)
        return self.step.images

    def after_loss(self, loss: Tensor) -> None:
        """Call with the loss that the head returned."""
        assert self.step is not None
        self.step.loss = loss
        self._at("after_loss")

    def after_backward(self) -> None:
        """Call when the gradients are complete."""
        self._at("after_backward")

    def after_step(self) -> None:
        """Call after the optimiser; the step is over and its graph is let go."""
        self._at("after_step")
        self.step = None

    def after_epoch(self) -> None:
        """Call before the epoch's checkpoint."""
        self._at("after_epoch")

    def after_train(self) -> None:
        """Call in a ``finally``; every hook runs even if an earlier one raises."""
        errors: list[Exception] = []
        for hook in self._hooks():
            try:
                hook.after_train(self)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    # What plugins call.

    def log(self, tag: str, value: float | Tensor) -> None:
        """Offers one point of a curve at the current step; the host decides when it is written.

        A scalar tensor is read only then, so that logging does not wait for the device.
        """
        self._log(tag, value.detach() if isinstance(value, Tensor) else value, self.global_step)

    # State.

    def state_dict(self) -> dict[str, Any]:
        """Each plugin's state under its name: the checkpoint's ``plugins`` entry."""
        return {p.name: p.state.state_dict() for p in self.plugins if p.state is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Gives each plugin its state back. A plugin that the checkpoint lacks starts afresh."""
        for plugin in self.plugins:
            own = state.get(plugin.name)
            if own is None and plugin.old_state is not None:
                own = plugin.old_state(state)
            if plugin.state is not None and own is not None:
                plugin.state.load_state_dict(own)

    # Inside.

    def _hooks(self) -> list[Any]:
        return [hook for plugin in self.plugins for hook in plugin.hooks]

    def _at(self, moment: str) -> None:
        assert moment in MOMENTS
        for hook in self._hooks():
            getattr(hook, moment)(self)

    def _keep_embeddings(self, head: nn.Module, args: tuple[Any, ...]) -> None:
        if self.step is not None:
            self.step.embeddings = args[0]

    def _weighted_penalties(self, statistics: Statistics) -> Tensor:
        """The head's extra term: the sum of weight * penalty, each logged by name."""
        total = torch.zeros((), device=statistics.ce.device, dtype=statistics.ce.dtype)
        if self.step is None:
            return total
        self.step.batch_labels = statistics.labels
        self.step.ce = statistics.ce
        self.step.entropy = statistics.entropy
        self.step.pmax = statistics.pmax
        for penalty in self.penalties.values():
            if penalty.weight:
                value = penalty.function(self.step)
                self.log(f"penalty/{penalty.name}", value)
                total = total + penalty.weight * value
        return total


def _chosen_column(table: GroupTable | None, attribute: str | None) -> str | None:
    """The column of the group table that gives `Step.groups`; None without a table."""
    return attribute if table is None or attribute is not None else next(iter(table.attributes))


def _group_codes(table: GroupTable | None, attribute: str | None, num_classes: int) -> Tensor:
    """The group of every class, int64 [C]; -1 where it is unknown."""
    if table is None:
        if attribute is not None:
            raise UserError(
                f"config.group_attribute is {attribute!r} but there is no group table; "
                "set config.groups to a TSV with that column"
            )
        return torch.full((num_classes,), -1)
    name = attribute or next(iter(table.attributes))
    if name not in table.attributes:
        raise UserError(
            f"config.group_attribute is {name!r}, but the group table has the columns "
            f"{', '.join(table.attributes)}; choose one of them"
        )
    return torch.from_numpy(table.attributes[name].codes)
