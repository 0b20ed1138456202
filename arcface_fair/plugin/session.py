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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from arcface_fair.errors import UserError
from arcface_fair.plugin.context import BatchStep, LossStep, Run
from arcface_fair.plugin.figures import list_figures
from arcface_fair.plugin.loading import check_plugins, parse_plugin_settings
from arcface_fair.plugin.parts import MOMENTS, Penalty, Plugin

if TYPE_CHECKING:
    from arcface_fair.data.groups import GroupTable
    from arcface_fair.head import PartialFC, Statistics


def no_log(tag: str, value: float | Tensor, step: int) -> None:
    """The log of a session that nobody listens to."""


class Session:
    """Holds what plugins may see of a run and calls them at the right moments.

    ``run`` says what is known beforehand. ``backbone`` is the bare module, without DDP, and
    ``head`` this rank's `PartialFC`; second passes go through these two. ``group_of_class``
    int64 [C] is every class's group, -1 = unknown, from the column ``group_attribute`` of the
    group table (None without one). ``shared`` is where one plugin publishes what another may
    read, by name, without either importing the other.

    ``log(tag, value, step)`` is the host's; see `Session.log`. Raises UserError for settings and
    parts of plugins that cannot be used.
    """

    def __init__(
        self,
        run: Run,
        plugin_modules: Sequence[ModuleType],
        *,
        backbone: nn.Module,
        head: PartialFC,
        log: Callable[[str, float | Tensor, int], None] = no_log,
    ) -> None:
        self.run, self.backbone, self.head = run, backbone, head
        self.epoch = 0
        self.global_step = 0
        self.step: BatchStep | None = None
        self.shared: dict[str, Any] = {}
        self._log = log
        self._loss: Tensor | None = None
        self._embeddings: Tensor | None = None
        self.group_attribute = _chosen_column(run.group_table, run.group_attribute)
        codes = _group_codes(run.group_table, run.group_attribute, run.num_classes)
        self.group_of_class = codes.to(run.device)
        margin = head.margin_softmax
        settings = parse_plugin_settings(plugin_modules, run.config)
        self.plugins: list[Plugin] = [
            module.build(block, self)
            for module, block in zip(plugin_modules, settings, strict=True)
        ]
        check_plugins(plugin_modules, self.plugins, margin)
        self.penalties = {p.name: p for plugin in self.plugins for p in plugin.penalties}
        head.terms.append(self._weighted_penalties)
        head.register_forward_pre_hook(self._keep_embeddings)

    @property
    def loss_step(self) -> LossStep:
        """The current step after the head. Raises RuntimeError before it was called."""
        if not isinstance(self.step, LossStep):
            raise RuntimeError("the head was not called in this step yet")
        return self.step

    @property
    def loss(self) -> Tensor:
        """The scalar that the head returned in this step, with penalties and graph.

        Raises RuntimeError before `after_loss`.
        """
        if self._loss is None:
            raise RuntimeError("the loss of this step is not known yet")
        return self._loss

    # The moments, in the order of the loop above.

    def before_train(self) -> None:
        """Call once, after a checkpoint was loaded."""
        list_figures(self.run.work_dir, self.plugins)
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
        known = groups is not None or self.run.group_table is not None
        if groups is None:
            groups = self.group_of_class[labels.reshape(-1).long()]
        step = BatchStep(
            epoch=self.epoch, global_step=self.global_step, total_steps=self.run.total_steps,
            images=images, labels=labels, groups=groups.reshape(-1),
        )  # fmt: skip
        self.step = step
        self.head.groups = step.groups if known else None
        for plugin in self.plugins:
            for augmentation in plugin.augmentations:
                changed = augmentation.function(step)
                _check_images(plugin.name, augmentation.name, changed, images)
                self.step = step = replace(step, images=changed)
        return step.images

    def after_loss(self, loss: Tensor) -> None:
        """Call with the loss that the head returned."""
        self._loss = loss
        self._at("after_loss")

    def after_backward(self) -> None:
        """Call when the gradients are complete."""
        self._at("after_backward")

    def after_step(self) -> None:
        """Call after the optimiser; the step is over and its graph is let go."""
        self._at("after_step")
        self.step = self._loss = self._embeddings = None

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
        """Offers one point of a curve, or an image, at the current step.

        A number or scalar tensor is a point. Within a step the host decides when it is written,
        and reads the tensor only then, so that logging does not wait for the device; between
        steps, as in ``after_epoch``, it is written at once. A tensor [3, H, W] or [1, H, W],
        float in 0..1 or uint8, is an image and is written at once. Only rank 0 writes.
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
        self._embeddings = args[0]

    def _weighted_penalties(self, statistics: Statistics) -> Tensor:
        """The head's extra term: the sum of weight * penalty, each logged by name."""
        total = torch.zeros((), device=statistics.ce.device, dtype=statistics.ce.dtype)
        if self.step is None:
            return total
        assert self._embeddings is not None
        unknown = torch.full_like(statistics.labels, -1)
        step = LossStep(
            **{name: getattr(self.step, name) for name in BatchStep.__dataclass_fields__},
            embeddings=self._embeddings,
            batch_labels=statistics.labels,
            batch_groups=unknown if statistics.groups is None else statistics.groups,
            ce=statistics.ce,
            entropy=statistics.entropy,
            pmax=statistics.pmax,
            measure_cosine=statistics.measure_cosine,
        )
        self.step = step
        values = {}
        for plugin in self.plugins:
            for penalty in plugin.penalties:
                if penalty.weight:
                    value = penalty.function(step)
                    _check_scalar(plugin.name, penalty, value)
                    values[plugin.name, penalty.name] = value.detach()
                    self.log(f"penalty/{penalty.name}", value)
                    total = total + penalty.weight * value
        _check_finite(values)
        return total


def is_image(value: float | Tensor) -> bool:
    """Whether what `Session.log` was given is an image, not a point of a curve."""
    return isinstance(value, Tensor) and value.dim() == 3


def _check_images(plugin: str, name: str, changed: Any, images: Tensor) -> None:
    shape, dtype = getattr(changed, "shape", None), getattr(changed, "dtype", None)
    if shape != images.shape or dtype != images.dtype:
        got = type(changed).__name__ if shape is None else f"{list(shape)} of {dtype}"
        raise UserError(
            f"the augmentation {name!r} of the plugin {plugin!r} returned {got}, expected images "
            f"{list(images.shape)} of {images.dtype}; return the images, changed or not"
        )


def _check_scalar(plugin: str, penalty: Penalty, value: Any) -> None:
    if not isinstance(value, Tensor) or value.dim():
        got = f"shape {list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UserError(
            f"the penalty {penalty.name!r} of the plugin {plugin!r} returned {got}, expected a "
            "scalar tensor; reduce it, for example with mean()"
        )


def _check_finite(values: Mapping[tuple[str, str], Tensor]) -> None:
    """One wait for the device, whatever the number of penalties."""
    if not values:
        return
    finite = torch.stack([value.isfinite() for value in values.values()]).tolist()
    for (plugin, name), value, good in zip(values, values.values(), finite, strict=True):
        if not good:
            raise UserError(
                f"the penalty {name!r} of the plugin {plugin!r} is {float(value)}, expected a "
                "finite number; guard its logarithms and divisions, or lower the learning rate"
            )


def _chosen_column(table: GroupTable | None, attribute: str | None) -> str | None:
    """The column of the group table that gives the steps' groups; None without a table."""
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
