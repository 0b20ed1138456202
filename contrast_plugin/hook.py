# SPDX-License-Identifier: MIT
"""When the map is estimated, what it does to the images of every later step, what is logged.

B rows on this rank, H W height and width. Every rank draws for the whole batch and keeps its rows,
so that all draws differ between ranks and repeat in a resumed run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import rolled
from arcface_fair.errors import UserError
from arcface_fair.plugin.context import BatchStep
from arcface_fair.plugin.partition import NOT_ASSIGNED, PARTITION, Partition, digest_of
from arcface_fair.plugin.parts import Hook
from arcface_fair.plugin.session import Session
from contrast_plugin.config import SESSION, ContrastSettings
from contrast_plugin.estimate import Contrast, find_contrast, near_the_gate
from contrast_plugin.picture import write_contrast
from contrast_plugin.source import check_publisher, published_subsets, written_subsets

LOGGER = logging.getLogger("arcface_fair.contrast")


class ContrastErasing(Hook):
    """Draws the map once and erases from then on; its state is what it found."""

    def __init__(self, settings: ContrastSettings, session: Session, name: str) -> None:
        self.settings, self.session, self.name = settings, session, name
        self.seed = session.run.seed if settings.seed is None else settings.seed
        self.epoch = settings.first_epoch(session.run.num_epochs)
        self.found: Contrast | None = None
        self._written: Partition | None = None  # the table or file, as it was before training
        self._newest: str | None = None  # digest of the newest partition when last looked at
        self._resumed = False
        self._steps = torch.zeros(2, device=session.run.device)  # without reference rows, all
        _check_run(settings, session, self.epoch)

    # The moments.

    def before_train(self, session: Session) -> None:
        """Refuses a partition that is missing, useless, or another than before (UserError)."""
        self._written = written_subsets(self.settings, session)
        if self._written is None:
            check_publisher(session, self.epoch, self.name)
            if self._resumed:
                self._check_unchanged(self._published_digest(session), self._newest)
        elif self.found is not None:
            self._check_unchanged(self._written.digest, self.found.digest)

    def before_epoch(self, session: Session) -> None:
        """Draws the map if it is due and not there."""
        if self.found is None and session.epoch >= self.epoch:
            subsets = self._written or published_subsets(session)
            self.found, maps = find_contrast(session, self.settings, subsets, self.seed)
            self._tell()
            write_contrast(self.found, maps, session)
        self._newest = self._published_digest(session)

    def after_epoch(self, session: Session) -> None:
        """Says where images of the reference side were missing."""
        lacking, steps = (int(value) for value in dist.all_reduce_(self._steps.clone()).tolist())
        self._steps.zero_()
        if lacking and dist.rank() == 0:
            LOGGER.warning(
                "contrast: %d of %d batches held no image outside subset %s, expected some to fill "
                "from; images of the subset itself were taken, raise batch_size or set "
                "contrast.fill = 'batch'",
                lacking, steps, self._easy_name,
            )  # fmt: skip

    # Every step.

    def __call__(self, step: BatchStep) -> Tensor:
        """The images of the second pass: the easy subset's with the mask's pixels replaced."""
        found = self.found
        if found is None:
            return step.images
        self.session.log("contrast/gap_difference", found.difference)
        if not found.acts:
            return step.images
        subset = found.subset[step.labels.reshape(-1)]
        easy = subset == found.easy
        batch, _, tall, wide = step.images.shape
        if (tall, wide) != tuple(found.map.shape):
            raise UserError(
                f"images are {tall} x {wide} pixels, the contrast map is "
                f"{' x '.join(str(side) for side in found.map.shape)}; train on images of one size"
            )
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step.global_step)
        uniforms = own_uniforms(batch, 3, generator).to(step.images.device)
        mask = found.mask.expand(batch, tall, wide)
        if self.settings.control == "rolled":
            mask = rolled(found.mask, whole(uniforms[:, 1], tall), whole(uniforms[:, 2], wide))
        mask = mask & easy[:, None, None]
        self.session.log("contrast/erased_share", mask.float().mean())
        filler = self._filler(step.images, (subset != NOT_ASSIGNED) & ~easy, uniforms[:, 0])
        return torch.where(mask[:, None], filler, step.images)

    def _filler(self, images: Tensor, reference: Tensor, uniforms: Tensor) -> Tensor:
        if self.settings.fill == "grey":
            return images.new_full((), self.settings.grey)
        if self.settings.fill == "batch":
            return images[other_rows(uniforms)]
        self._steps += torch.stack([(~reference.any()).float(), self._steps.new_ones(())])
        return images[rows_among(reference, uniforms)]

    # State.

    def state_dict(self) -> dict[str, Any]:
        """The same on every rank; empty before the map is drawn."""
        found = {} if self.found is None else {"found": self.found.as_state()}
        return {**found, "newest": self._newest or ""}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave. Raises UserError for other identities' state."""
        self._newest, self._resumed = state["newest"] or None, True
        if "found" not in state:
            return
        found = Contrast.from_state(state["found"], self.session.run.device)
        if len(found.subset) != self.session.run.num_classes:
            raise UserError(
                f"the checkpoint's contrast is of {len(found.subset)} identities, this run has "
                f"{self.session.run.num_classes}; resume with the record of the first run"
            )
        self.found = found

    # Inside.

    def _check_unchanged(self, now: str | None, then: str | None) -> None:
        if now != then:
            where = self.settings.partition
            raise UserError(
                f"the partition of contrast ({where!r}) is another than the one of the "
                "checkpoint, expected it unchanged; restore it, or start a new run"
            )

    def _published_digest(self, session: Session) -> str | None:
        if self.settings.partition != SESSION or PARTITION not in session.shared:
            return None
        return digest_of(session.shared[PARTITION])

    @property
    def _easy_name(self) -> str:
        assert self.found is not None
        return self.found.names[self.found.easy] if self.found.names else "none"

    def _tell(self) -> None:
        found, gate = self.found, self.settings.gate
        assert found is not None
        if dist.rank() != 0:
            return
        gaps = ", ".join(
            f"{name} {gap:.3f}" for name, gap in zip(found.names, found.gap, strict=True)
        )
        LOGGER.info(
            "contrast: mean gap %s; difference %.3f (standard error %.3f), gate %.2f",
            gaps, found.difference, found.doubt, gate,
        )  # fmt: skip
        if found.acts:
            share = 100 * float(found.mask.float().mean())
            LOGGER.info("contrast: erases %.0f %% of every image of subset %s", share,
                        self._easy_name)  # fmt: skip
        else:
            LOGGER.info("contrast: nothing is erased, %s", found.why)
        if near_the_gate(found, gate):
            LOGGER.warning(
                "contrast: the gap difference %.3f is within two standard errors (%.3f) of the "
                "gate %.2f, expected a clear distance; another seed may decide otherwise, look at "
                "contrast/contrast.png before you rely on it",
                found.difference, found.doubt, gate,
            )  # fmt: skip


def _check_run(settings: ContrastSettings, session: Session, epoch: int) -> None:
    if epoch >= session.run.num_epochs:
        raise UserError(
            f"contrast.start is {settings.start:g}, so that the map would be drawn after the "
            f"last of {session.run.num_epochs} epochs; lower it, 0.375 is usual"
        )
    if session.run.batch_size < 2 and settings.fill != "grey":
        raise UserError(
            f"contrast.fill is {settings.fill!r} with batch_size = {session.run.batch_size}, "
            "expected at least two images per process to fill one from another; raise batch_size "
            "or set contrast.fill = 'grey'"
        )


def old_state(states: Mapping[str, Any]) -> dict[str, Any] | None:
    """Where checkpoints had this plugin's state while it was a part of GABN."""
    own = states.get("gabn", {}).get("contrast")
    if own is not None and dist.rank() == 0:
        LOGGER.warning(
            "the checkpoint's plugins['gabn']['contrast'] is now plugins['contrast']; it is read "
            "as that, and the next checkpoint is written so"
        )
    return own


def own_uniforms(batch: int, columns: int, generator: torch.Generator) -> Tensor:
    """Uniform numbers [B, columns] in 0..1 of this rank's rows, float64."""
    drawn = torch.rand(batch * dist.world_size(), columns, generator=generator, dtype=torch.float64)
    return drawn[dist.rank() * batch : (dist.rank() + 1) * batch]


def whole(uniforms: Tensor, count: int) -> Tensor:
    """Whole numbers 0..count-1 from uniforms of any shape."""
    return (uniforms * count).long().clamp(max=count - 1)


def other_rows(uniforms: Tensor) -> Tensor:
    """For every row another row of the batch, int64 [B], from uniforms [B]; itself if alone."""
    count = len(uniforms)
    steps = 1 + (uniforms * (count - 1)).long().clamp(max=max(count - 2, 0))
    return (torch.arange(count, device=uniforms.device) + steps) % count


def rows_among(chosen: Tensor, uniforms: Tensor) -> Tensor:
    """For every row one of the rows where ``chosen`` [B] holds; without any, another row.

    The device is not waited for.
    """
    first = torch.argsort((~chosen).int(), stable=True)
    count = chosen.sum()
    place = (uniforms * count).long().clamp(min=0)
    place = torch.minimum(place, (count - 1).clamp(min=0))
    return torch.where(count > 0, first[place], other_rows(uniforms))
