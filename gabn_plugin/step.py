# SPDX-License-Identifier: MIT
"""One step of Algorithm 1: looks at the clean images, trains the classifier, sets K, erases.

It runs as an augmentation, before the forward pass that updates the backbone: everything that
needs the clean images happens here, on the bare backbone, with one sample of classes for both
passes. What joins the loss waits in ``term`` for the penalty of the same step.

B rows on this rank, N rows of the gathered batch, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import (
    Attention,
    ObjectiveScale,
    attend,
    plain_margin,
    rolled,
    statistics_held,
)
from arcface_fair.head import Active
from arcface_fair.plugin.context import BatchStep
from arcface_fair.plugin.session import Session
from gabn_plugin.adversarial import Confusion
from gabn_plugin.classifier import FEWEST_ROWS, MapClassifier
from gabn_plugin.config import GabnSettings
from gabn_plugin.erasing import (
    check_rectangles,
    erase,
    most_sensitive,
    random_pixels,
    random_sides,
    rectangle_mask,
)
from gabn_plugin.margin import ShiftedNegatives
from gabn_plugin.watch import AttentionWatch


class BalanceStep:
    """What GABN does to a step before its forward pass."""

    def __init__(
        self,
        settings: GabnSettings,
        session: Session,
        *,
        inner_margin: Any,
        unit: float,
        shifted: ShiftedNegatives | None,
        classifier: MapClassifier | None,
        scale: ObjectiveScale,
        watch: AttentionWatch,
    ) -> None:
        self.settings, self.session, self.watch = settings, session, watch
        self.inner_margin, self.unit, self.shifted = inner_margin, unit, shifted
        self.classifier, self.scale = classifier, scale
        self.seed = session.run.seed if settings.seed is None else settings.seed
        self.weight = 0.0  # of L_adv in this step; set by the schedule
        self.term: Tensor | None = None
        self.confusion: Confusion | None = None
        if classifier is not None:
            self.confusion = Confusion(
                session.backbone, session.head, classifier, scale,
                share=settings.share, second_order=settings.second_order,
            )  # fmt: skip

    def __call__(self, step: BatchStep) -> Tensor:
        """The images of the second pass; sets K and the term on the way. All ranks together."""
        self.term = None
        head = self.session.head
        active = head.sample(step.labels) if head.sample_rate < 1 else None
        head.next_active = active
        margin = self.inner_margin if self.settings.gam_margin else plain_margin(self.inner_margin)
        all_groups = dist.gather_rows(step.groups)
        confusion = None
        seen = self._look(step, margin, active)
        if seen is not None:
            self.watch.see(seen, step.groups)
            confusion = self._adversarial(step, seen, all_groups, margin, active)
        if self.shifted is not None:
            pmax = self._confidence(step, seen, active) if self.settings.confidence else None
            self.shifted.angle = self._shift(pmax, all_groups, confusion)
        return self._erased(step, seen)

    def _look(self, step: BatchStep, margin: Any, active: Active | None) -> Attention | None:
        """The clean pass, if this step needs maps."""
        due = is_due(step.global_step, self.settings.classifier_every)
        training = self.classifier is not None and due
        shifting = self.classifier is not None and self.settings.objective != "term"
        erasing = self.settings.erasing in ("attention", "rolled")
        if not (erasing or training or shifting or self.weight > 0):
            return None
        with _buffers_held(margin):
            return attend(
                self.session.backbone, self.session.head, step.images, step.labels,
                margin=margin, active=active, create_graph=self._with_graph(), scale=self.scale,
            )  # fmt: skip

    def _with_graph(self) -> bool:
        return self.confusion is not None and self.weight > 0 and self.confusion.uses_graph

    def _adversarial(
        self,
        step: BatchStep,
        seen: Attention,
        all_groups: Tensor,
        margin: Any,
        active: Active | None,
    ) -> Tensor | None:
        """Trains the classifier, then prepares L_adv: as a term, or its value for K."""
        if self.classifier is None or self.confusion is None:
            return None
        known = int((all_groups >= 0).sum())
        if known < FEWEST_ROWS and self.weight == 0:
            return None
        if known >= FEWEST_ROWS and is_due(step.global_step, self.settings.classifier_every):
            loss, accuracy = self.classifier.learn(seen.maps, step.groups, all_groups)
            self.session.log("gabn/classifier_loss", loss)
            self.session.log("gabn/classifier_accuracy", accuracy)
        if self.settings.objective != "term":
            value = self.confusion.value(seen.maps, step.groups, known)
            self.session.log("gabn/confusion", value)
            return value
        if self.weight > 0:
            with _buffers_held(margin):
                self.term = self.confusion.term(
                    seen, step.images, step.labels, step.groups, all_groups,
                    margin=margin, active=active,
                )  # fmt: skip
            self.session.log("gabn/confusion", self.term)
        return None

    @torch.no_grad()
    def _confidence(self, step: BatchStep, seen: Attention | None, active: Active | None) -> Tensor:
        """pmax [N] of the margin's probabilities in the clean pass (eq. 5's P_max)."""
        if seen is not None and self.settings.gam_margin:
            return seen.pmax
        head = self.session.head
        embeddings = self._embeddings(step) if seen is None else seen.embeddings
        with _buffers_held(self.inner_margin):
            return head.statistics(
                embeddings, step.labels, margin=self.inner_margin, active=active
            ).pmax

    def _embeddings(self, step: BatchStep) -> Tensor:
        with statistics_held(self.session.backbone):
            return self.session.backbone(step.images)

    def _shift(self, pmax: Tensor | None, all_groups: Tensor, confusion: Tensor | None) -> Tensor:
        """K in radians (eq. 7), detached and equal on all ranks."""
        total = torch.zeros((), device=self.session.run.device)
        if pmax is not None:
            share = (pmax >= self.settings.threshold).float().mean()
            self.session.log("gabn/confident_share", share)
            self.watch.see_confidence(pmax, all_groups)
            total = total + share
        if confusion is not None:
            assert self.classifier is not None
            floor = (
                0.0
                if self.settings.objective == "literal"
                else math.log(self.classifier.num_groups)
            )
            total = total + (confusion.float() - floor)
        angle = self.unit * total
        if self.settings.objective != "literal":
            angle = angle.clamp(0, math.pi)
        self.session.log("gabn/shift_rad", angle)
        return angle

    def _erased(self, step: BatchStep, seen: Attention | None) -> Tensor:
        """The images with rectangles erased; draws are those of the whole batch on every rank."""
        settings = self.settings
        if settings.erasing == "off":
            return step.images
        batch, _, tall, wide = step.images.shape
        check_rectangles(settings.height, settings.width, (tall, wide))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step.global_step)
        rows, count = batch * dist.world_size(), settings.rectangles
        sides = random_sides(rows, count, settings.height, settings.width, generator)
        own = slice(dist.rank() * batch, (dist.rank() + 1) * batch)
        heights, widths = (side[own].to(step.images.device) for side in sides)
        if settings.erasing == "random":
            drawn = random_pixels(rows, count, tall * wide, generator)[own]
            centres = drawn.to(step.images.device)
        else:
            assert seen is not None
            centres = most_sensitive(seen.maps, count)
            heights, widths = heights[:, : centres.shape[1]], widths[:, : centres.shape[1]]
        mask = rectangle_mask(centres, heights, widths, (tall, wide))
        if settings.erasing == "rolled":
            down = torch.randint(tall, (rows,), generator=generator)[own]
            right = torch.randint(wide, (rows,), generator=generator)[own]
            mask = rolled(mask, down.to(mask.device), right.to(mask.device))
        return erase(step.images, mask, settings.fill)


def is_due(global_step: int, every: int) -> bool:
    """Whether the step (from 1) is one of every n-th: 1, 1 + n, ..."""
    return (global_step - 1) % every == 0


@contextmanager
def _buffers_held(margin: Any) -> Iterator[None]:
    """A margin with running averages enters the clean pass as it leaves it."""
    buffers = list(margin.buffers()) if isinstance(margin, nn.Module) else []
    kept = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, kept, strict=True):
                buffer.copy_(value)
