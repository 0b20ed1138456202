# SPDX-License-Identifier: MIT
"""The session as arcface_torch's loop calls it, and what its checkpoints keep besides.

Without plugins every moment returns at once, images pass through, and only what an exact resume
needs is kept.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from arcface_fair.data.image.images import FACE_SIZE
from arcface_fair.errors import UserError
from arcface_fair.hosts import build
from arcface_fair.hosts.ranks import until_error
from arcface_fair.hosts.scaler import build_scaler
from arcface_fair.hosts.upstream.config import Configured, current, faces
from arcface_fair.hosts.upstream.devices import device
from arcface_fair.plugin.context import Run
from arcface_fair.plugin.margins import KeptMargin
from arcface_fair.plugin.session import Session, is_image
from arcface_fair.run import checkpoint
from arcface_fair.run.folder import write_config
from arcface_fair.run.state import RunState, load_for_run, run_metadata

LOGGER = logging.getLogger("arcface_fair")


def start(
    cfg: Any,
    backbone: Any,
    head: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
    writer: Any = None,
) -> HostRun:
    """The run of the parts that upstream's script has built; ``backbone`` is wrapped by DDP."""
    configured = current()
    for key in configured.ignored:
        LOGGER.info("config.%s is ignored by arcface_torch", key)
    run = HostRun(cfg, configured, backbone.module, head, optimizer, scheduler, writer)
    atexit.register(run.after_train)
    write_config(Path(cfg.output), dict(cfg), cfg.num_classes)
    return run


def metadata_of(cfg: Any) -> dict[str, Any]:
    """What the checkpoints of this run say of it."""
    return run_metadata(cfg.network, cfg.embedding_size, cfg.num_classes, cfg.batch_size)


def save_checkpoint(cfg: Any, state: dict[str, Any]) -> None:
    """Writes this rank's checkpoint whole or not at all; call it on all ranks."""
    checkpoint.save_checkpoint(Path(cfg.output), state)


def load_checkpoint(cfg: Any) -> dict[str, Any]:
    """This rank's state to go on from, out of our files or upstream's own; see `load_for_run`."""
    folder = Path(cfg.output)
    state, changes = load_for_run(folder, metadata_of(cfg), cfg.batch_size, cfg.num_image)
    for change in changes:
        LOGGER.info("%s", change)
    return state


class HostRun:
    """One run of upstream's loop; its methods stand where the session's moments are."""

    def __init__(
        self,
        cfg: Any,
        configured: Configured,
        backbone: nn.Module,
        head: nn.Module,
        optimizer: torch.optim.Optimizer,
        scheduler: Any,
        writer: Any,
    ) -> None:
        self.cfg, self.backbone, self.head, self.writer = cfg, backbone, head, writer
        self.epoch = self.global_step = self.step_of_epoch = 0
        self._resumed: dict[str, Any] | None = None
        self._started = self._over = False
        self.session = self._session(configured) if configured.modules else None
        block = None if configured.run is None else configured.run.margin
        margin = KeptMargin(block, getattr(head, "margin_softmax", None))
        self.state = RunState(
            backbone=backbone,
            head=head,
            optimizer=optimizer,
            schedule=scheduler,
            scaler=None,
            margin=margin,
            session=self.session,
            metadata=metadata_of(cfg),
            gradient_acc=cfg.gradient_acc,
            device=device(),
            epoch_rng=torch.get_rng_state(),
        )

    def _session(self, configured: Configured) -> Session:
        cfg, run = self.cfg, configured.run
        assert run is not None
        known = Run(
            config=cfg,
            dataset=faces(cfg.rec),
            group_table=build.build_group_table(run, cfg.num_classes),
            group_attribute=run.group_attribute,
            num_classes=cfg.num_classes,
            num_epochs=cfg.num_epoch,
            total_steps=cfg.total_step,
            batch_size=cfg.batch_size,
            num_workers=run.num_workers,
            skip_bad_images=run.skip_bad_images,
            seed=run.seed,
            work_dir=Path(cfg.output),
            device=device(),
        )
        return Session(
            known,
            configured.modules,
            backbone=self.backbone,
            head=self.head,  # type: ignore[arg-type]
            log=self._log,
        )

    def _log(self, tag: str, value: float | Tensor, step: int) -> None:
        if self.writer is None:
            return
        if is_image(value):
            self.writer.add_image(tag, value, step)
        elif step % self.cfg.frequent == 0 or self.session.step is None:  # type: ignore[union-attr]
            self.writer.add_scalar(tag, float(value), step)

    # Checkpoints.

    def resume(self, state: dict[str, Any]) -> None:
        """Takes back what upstream's own keys do not hold; call it after they were loaded."""
        self.global_step = state["global_step"]
        self.state.restore_added_keys(state)
        kept = ("epoch", "step", "rng", "epoch_rng", "scaler")
        self._resumed = {key: state[key] for key in kept if key in state}

    def scaler(self, amp: Any) -> Any:
        """The loss scaler: upstream's, or with plugins one on which all ranks agree."""
        if self.session is not None and amp.is_enabled():
            amp = build_scaler(enabled=True)
        if self._resumed is not None and self._resumed.get("scaler"):
            amp.load_state_dict(self._resumed["scaler"])
        self.state.scaler = amp
        return amp

    def checkpoint(self, step: int = 0) -> dict[str, Any]:
        """What a checkpoint holds besides upstream's keys; ``step`` of the epoch to go on at."""
        return self.state.added_keys(self.global_step, step)

    def _restore_rng(self) -> None:
        assert self._resumed is not None
        self.state.restore_rng(self._resumed)
        self._resumed = None

    # The moments, in the order of the loop.

    def before_epoch(self, epoch: int) -> None:
        """``epoch`` begins, or goes on after a resume."""
        if self.session is not None and not self._started:
            self.session.before_train()
        self._started = True
        self.epoch, self.step_of_epoch = epoch, 0
        if self._resumed is not None and not self._resumed.get("step"):
            self._restore_rng()
        if self.session is not None:
            self.session.before_epoch(epoch)

    def batches(self, loader: Iterable[Any]) -> Iterator[Any]:
        """The epoch's batches; after a resume in its middle, those that were not trained on."""
        skip = 0 if self._resumed is None else self._resumed.get("step", 0)
        # Loaders draw their workers' seeds when an epoch begins; skipped batches must be the same.
        if skip and "epoch_rng" in self._resumed:  # type: ignore[operator]
            torch.set_rng_state(self._resumed["epoch_rng"])  # type: ignore[index]
        self.state.epoch_rng = torch.get_rng_state()
        last: Any = None
        if current().run is not None:
            loader = until_error(loader, self.head, lambda: self._blank(last))
        for number, batch in enumerate(loader):
            last = batch
            if number < skip:
                continue
            if self._resumed is not None:
                self.step_of_epoch = skip
                self._restore_rng()
            yield batch

    def _blank(self, last: Any) -> list[Any]:
        """A batch of zeros with as many parts as the ``last`` one, which forks make longer."""
        if last is not None:
            return [torch.zeros_like(part) for part in last]
        size = self.cfg.batch_size
        images = torch.zeros((size, 3, FACE_SIZE, FACE_SIZE), device=device())
        return [images, torch.zeros(size, dtype=torch.long, device=device())]

    def before_forward(
        self, images: Tensor, labels: Tensor, groups: Tensor | None = None
    ) -> Tensor:
        """The images [B, 3, 112, 112] that the backbone shall see.

        ``groups`` [B] where the loader gives a third element, else they come from the table.
        """
        self.global_step += 1
        self.step_of_epoch += 1
        if self.session is None:
            return images
        if images.dim() != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise UserError(
                f"the loader gives images of shape {list(images.shape)} and type {images.dtype}, "
                "plugins expect floats [batch, 3, 112, 112] in -1..1; correct the loader"
            )
        labels = labels.reshape(-1).long()
        if groups is not None:
            groups = groups.reshape(-1).long().to(images.device)
        return self.session.before_forward(images, labels, groups)

    def after_loss(self, loss: Tensor) -> None:
        """The head has returned ``loss``."""
        if self.session is not None:
            self.session.after_loss(loss)

    def after_backward(self) -> None:
        """The gradients are complete."""
        if self.session is not None:
            self.session.after_backward()

    def after_step(self) -> None:
        """Optimiser and schedule have moved on; writes a checkpoint if one is due."""
        if self.session is not None:
            self.session.after_step()
        every = self.cfg.get("checkpoint_steps", 0)
        if every and self.global_step % every == 0:
            state = self.state.collect(self.epoch, self.global_step, self.step_of_epoch)
            save_checkpoint(self.cfg, state)

    def after_epoch(self) -> None:
        """The epoch has ended; upstream's checkpoint follows."""
        if self.session is not None:
            self.session.after_epoch()
        every = self.cfg.get("keep_epochs", 0)
        if every and (self.epoch + 1) % every == 0:
            centres = self.head.weight.detach()  # type: ignore[operator]
            checkpoint.keep_model(
                Path(self.cfg.output), self.epoch, self.backbone.state_dict(), centres
            )

    def after_train(self) -> None:
        """The run is over; called at the end of the script whatever ended it, acts once."""
        if not self._over and self.session is not None:
            self._over = True
            self.session.after_train()
