# SPDX-License-Identifier: MIT
"""The embedded training loop: upstream's order of events, on CPU or GPU, resumable exactly."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.data.image.images import FACE_SIZE
from arcface_fair.data.training.dataset import TrainingImages, to_input
from arcface_fair.data.training.loader import Batch, EpochBatches, make_loader
from arcface_fair.hosts import build
from arcface_fair.hosts.embedded.logs import RunLog
from arcface_fair.hosts.embedded.verify import BestModel, Verification, log_table
from arcface_fair.hosts.ranks import (
    check_device,
    choose_device,
    one_sentence,
    process_group,
    until_error,
)
from arcface_fair.hosts.scaler import build_scaler
from arcface_fair.hosts.schedules import build_schedule
from arcface_fair.hosts.settings import RunSettings, parse_run
from arcface_fair.plugin.context import Run
from arcface_fair.plugin.loading import (
    load_plugin_modules,
    parse_plugin_settings,
    with_current_names,
)
from arcface_fair.plugin.margins import KeptMargin
from arcface_fair.plugin.session import Session, is_image
from arcface_fair.run.checkpoint import keep_model, save_checkpoint, write_atomically
from arcface_fair.run.folder import prepare_output, write_config
from arcface_fair.run.pretrained import start_from
from arcface_fair.run.state import RunState, load_for_run, run_metadata


def train(config: Mapping[str, Any]) -> Path:
    """Trains the run that ``config`` describes and returns its output folder.

    Under torchrun every rank calls it. Raises UserError for what the user can put right. Before
    the data and all settings were checked nothing is written but that sentence, into a
    ``training.log`` that is there.
    """
    config = with_current_names(config)
    device = choose_device(str(config.get("device", RunSettings.device)))
    with process_group(device), one_sentence(config.get("output")):
        with dist.failing_together():
            modules = load_plugin_modules(config.get("plugins", ()))
            run, ignored = parse_run(config, {module.NAME for module in modules})
            parse_plugin_settings(modules, config)
            build.build_margin(run, modules)
            check_device(run.device)
        trainer = Trainer(run, config, modules, device)
        for key in ignored:
            trainer.log.show(f"config.{key} is ignored by the embedded trainer")
        trainer.fit()
    return Path(run.output)


class Trainer:
    """One run: its parts, built once, and the loop over them."""

    def __init__(
        self,
        run: RunSettings,
        config: Mapping[str, Any],
        plugin_modules: list[ModuleType],
        device: torch.device,
    ) -> None:
        self.run = run
        self.device = device
        self.output = Path(run.output)
        # What may fail on one rank alone stands in blocks without a collective inside.
        with dist.failing_together():
            self._read_data()
        self.backbone = build.build_backbone(run, device)
        with dist.failing_together():
            self._build(config, plugin_modules)
        self.model = build.wrap_backbone(run, self.backbone, device)
        self._resumed: dict[str, Any] | None = None
        changes: list[str] = []
        if run.resume:
            self._resumed, changes = load_for_run(
                self.output, self.state.metadata, run.batch_size, self.batches.num_images
            )
        with dist.failing_together():
            if self._resumed is not None:
                self.state.restore(self._resumed)
            elif run.init_backbone is not None:
                changes = start_from(self.backbone, run.network, run.init_backbone).sentences()
            prepare_output(self.output)
            write_config(self.output, config, self.num_classes)
            self.best = BestModel(self.output, run.best_by, resume=self._resumed is not None)
        self.skipped_images = 0
        self.log = RunLog(
            self.output,
            total_steps=self.session.run.total_steps,
            first_step=self.session.global_step,
            frequent=run.frequent,
        )
        for change in changes:
            self.log.show(change)

    def _read_data(self) -> None:
        run = self.run
        self.dataset, self.num_classes = build.build_dataset(run)
        self.group_table = build.build_group_table(run, self.num_classes)
        self.verification = Verification(Path(run.rec), run.val_targets, self.device)
        self.batches = EpochBatches(
            self.dataset.num_images, run.batch_size, run.seed, dist.rank(), dist.world_size()
        )
        images = TrainingImages(
            self.dataset,
            flip=run.flip,
            shift=run.shift,
            seed=run.seed,
            skip_bad_images=run.skip_bad_images,
        )
        self.loader = make_loader(images, self.batches, run.num_workers, self.device)

    def _build(self, config: Mapping[str, Any], plugin_modules: list[ModuleType]) -> None:
        """Head, optimiser, schedule, session, and what a checkpoint holds of them."""
        run, device = self.run, self.device
        self.head = build.build_head(run, self.num_classes, device, plugin_modules)
        self.optimizer = build.build_optimizer(run, self.backbone, self.head)
        self.schedule = build_schedule(
            self.optimizer,
            run.lr_schedule,
            steps_per_epoch=len(self.batches),
            num_epochs=run.num_epoch,
            warmup_epochs=run.warmup_epoch,
            drop_epochs=run.lr_steps,
        )
        self.scaler = build_scaler(enabled=build.uses_fp16(run, device))
        known = Run(
            config=config,
            dataset=self.dataset,
            group_table=self.group_table,
            group_attribute=run.group_attribute,
            num_classes=self.num_classes,
            num_epochs=run.num_epoch,
            total_steps=len(self.batches) * run.num_epoch,
            batch_size=run.batch_size,
            num_workers=run.num_workers,
            skip_bad_images=run.skip_bad_images,
            seed=run.seed,
            work_dir=self.output,
            device=device,
        )
        self.session = Session(
            known, plugin_modules, backbone=self.backbone, head=self.head, log=self._point
        )
        self.state = RunState(
            backbone=self.backbone,
            head=self.head,
            optimizer=self.optimizer,
            schedule=self.schedule,
            scaler=self.scaler,
            margin=KeptMargin(run.margin, self.head.margin_softmax),
            session=self.session,
            metadata=run_metadata(
                run.network, run.embedding_size, self.num_classes, run.batch_size
            ),
            gradient_acc=run.gradient_acc,
            device=device,
        )

    def fit(self) -> None:
        """Runs to the last epoch. ``after_train`` is reached whatever happens."""
        try:
            with one_sentence(self.output):
                self._train()
        finally:
            self.session.after_train()
            self.loader.close()
            self.log.close()

    def _train(self) -> None:
        self.session.before_train()
        first_epoch, first_step = self._start()
        for epoch in range(first_epoch, self.run.num_epoch):
            self._epoch(epoch, first_step if epoch == first_epoch else 0)
        self._verify()

    def _start(self) -> tuple[int, int]:
        if self._resumed is None:
            return 0, 0
        return self._resumed["epoch"], self._resumed.get("step", 0)

    def _epoch(self, epoch: int, first_step: int) -> None:
        resumed, self._resumed = self._resumed, None
        # Where the uninterrupted run stood when it wrote the checkpoint: before the hooks of an
        # epoch that begins, after those of one that goes on.
        if resumed is not None and first_step == 0:
            self.state.restore_rng(resumed)
        self.session.before_epoch(epoch)
        if resumed is not None and first_step > 0:
            self.state.restore_rng(resumed)
        self.batches.set_epoch(epoch, first_step)
        self.model.train()
        with closing(until_error(self.loader, self.head, self._blank)) as batches:
            for step, batch in enumerate(batches, start=first_step + 1):
                self._step(batch)
                if step < len(self.batches) and self._due(self.run.checkpoint_steps):
                    self._save(epoch, step)
                if self._due(self.run.verbose):
                    self._verify()
        self.session.after_epoch()
        if self.run.keep_epochs and (epoch + 1) % self.run.keep_epochs == 0:
            keep_model(self.output, epoch, self.backbone.state_dict(), self.head.weight.detach())
        self._save(epoch + 1, 0)

    def _blank(self) -> Batch:
        size = self.run.batch_size
        shape = (size, 3, FACE_SIZE, FACE_SIZE)
        images = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        nothing = torch.zeros(size, dtype=torch.int64, device=self.device)
        return Batch(images, nothing, nothing, 0)

    def _step(self, batch: Batch) -> None:
        self.skipped_images += batch.skipped
        images = self.session.before_forward(to_input(batch.images), batch.labels)
        loss = self.head(self.model(images), batch.labels)
        self.session.after_loss(loss)
        self.scaler.scale(loss).backward()
        self._round_gradients()
        self.session.after_backward()
        if self.session.global_step % self.run.gradient_acc == 0:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.backbone.parameters(), self.run.clip_norm)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.zero_grad()
        rate = self.schedule.rates()[0]
        self.schedule.step()
        self.session.after_step()
        self.log.step(
            epoch=self.session.epoch,
            step=self.session.global_step,
            loss=loss.detach(),
            rate=rate,
            images=self.run.batch_size * dist.world_size(),
        )

    def _round_gradients(self) -> None:
        """What DDP's fp16 hook does to several ranks, done to one, as upstream's trainer does."""
        if self.run.gradient_compression != "fp16" or dist.world_size() > 1:
            return
        for parameter in self.backbone.parameters():
            if parameter.grad is not None:
                parameter.grad = parameter.grad.half().to(parameter.grad.dtype)

    def _due(self, every: int) -> bool:
        return every > 0 and self.session.global_step % every == 0

    def _verify(self) -> None:
        if not self.run.val_targets:
            return
        table = self.verification(self.backbone)
        log_table(table, self.log, self.session.global_step)
        self.best.offer(table, self.backbone, self.log, self.session.global_step)

    def _save(self, epoch: int, step: int) -> None:
        if self.run.save_all_states:
            state = self.state.collect(epoch, self.session.global_step, step)
            save_checkpoint(self.output, state)
        if step == 0 and dist.rank() == 0:
            write_atomically(self.backbone.state_dict(), self.output / "model.pt")
        if self.skipped_images:
            self.log.show(f"{self.skipped_images} undecodable images were replaced so far")

    def _point(self, tag: str, value: float | Tensor, step: int) -> None:
        if self.session.step is None and not is_image(value):
            self.log.scalar(tag, float(value), step)
        else:
            self.log.point(tag, value, step)
