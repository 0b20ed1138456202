# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gabn_plugin
from arcface_fair.attention.gradient_maps import attend, plain_margin
from arcface_fair.backbones import get_model
from arcface_fair.data.groups import GroupTable
from arcface_fair.head import ArcFace, PartialFC
from arcface_fair.plugin.context import Run
from arcface_fair.plugin.session import Session
from gabn_plugin.erasing import most_sensitive
from gabn_plugin.step import is_due

CLASSES = 6
SMALL = {"classifier_width": 4, "map_side": 28, "start": 0.0}
ALONE = {"erasing": "off", "confidence": False, "adversarial": False}


def session_of(gabn: dict[str, Any], margin: Any = None, **head: Any) -> Session:
    torch.manual_seed(0)
    run = Run(
        config={"gabn": {**SMALL, **gabn}},
        dataset=None,  # type: ignore[arg-type]
        group_table=GroupTable.of_words({"group": list("aabbab")}),
        group_attribute=None, num_classes=CLASSES, num_epochs=1, total_steps=100, batch_size=4,
        seed=5, work_dir=Path("unused"), device=torch.device("cpu"),
    )  # fmt: skip
    backbone = get_model("small", num_features=8, norm="none")
    classifier = PartialFC(margin or ArcFace(16.0, 0.3), 8, CLASSES, **head)
    return Session(run, [gabn_plugin], backbone=backbone, head=classifier)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, 3, 112, 112, generator=generator) * 2 - 1, torch.arange(4)


def balance_of(session: Session) -> Any:
    return session.plugins[0].augmentations[0].function


def test_the_most_sensitive_pixels_of_the_clean_image_are_erased() -> None:
    session = session_of({**ALONE, "erasing": "attention", "height": 1, "width": 1, "fill": 0.5})
    images, labels = batch()
    erased = session.before_forward(images, labels)
    margin = plain_margin(session.head.margin_softmax)
    maps = attend(session.backbone, session.head, images, labels, margin=margin).maps
    changed = (erased != images).any(1).flatten(1)
    for row in range(4):
        assert set(changed[row].nonzero()[:, 0].tolist()) == set(
            most_sensitive(maps, 20)[row].tolist()
        )
    assert (erased[(erased != images)] == 0.5).all()


def test_random_erasure_takes_no_extra_pass_and_is_drawn_anew_every_step() -> None:
    session = session_of({**ALONE, "erasing": "random"})
    calls: list[int] = []
    session.backbone.register_forward_hook(lambda *_: calls.append(1))
    images, labels = batch()
    first, second = (session.before_forward(images, labels) for _ in range(2))
    assert not calls
    assert not torch.equal(first, second)
    again = session_of({**ALONE, "erasing": "random"})
    assert torch.equal(again.before_forward(images, labels), first)


def test_confidence_alone_takes_one_forward_and_no_input_gradient() -> None:
    session = session_of({**ALONE, "confidence": True, "threshold": 0.0})
    grads: list[int] = []
    session.backbone.register_forward_hook(lambda m, i, out: grads.append(int(out.requires_grad)))
    session.before_forward(*batch())
    assert grads == [0]
    assert float(session.head.margin_softmax.angle) == pytest.approx(0.15)  # half of 0.3 rad


def test_the_shift_stays_off_without_a_part_in_it() -> None:
    session = session_of({**ALONE, "adversarial": True})
    assert isinstance(session.head.margin_softmax, ArcFace)


def test_both_passes_see_one_sample_of_classes() -> None:
    session = session_of({}, sample_rate=0.7)
    seen = []
    real = session.head.statistics

    def note(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs["active"].index.tolist())
        return real(*args, **kwargs)

    session.head.statistics = note  # type: ignore[method-assign]
    session.before_epoch(0)
    images, labels = batch()
    session.head(session.backbone(session.before_forward(images, labels)), labels)
    assert len(seen) >= 3  # map, confidence, the loss itself
    assert all(index == seen[0] for index in seen)


class Running(nn.Module):
    """A margin with a running average, updated once per pass of the head."""

    needs_context = True
    s, m = 16.0, 0.3

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))

    def prepare(self, context: Any) -> Any:
        self.passes += 1
        return context

    def forward(self, cosines: Tensor, labels: Tensor, context: Any) -> Tensor:
        return cosines * self.s


def test_a_margins_running_average_sees_the_second_pass_alone() -> None:
    margin = Running()
    session = session_of({"gam_margin": True}, margin=margin)
    session.before_epoch(0)
    images, labels = batch()
    session.head(session.backbone(session.before_forward(images, labels)), labels)
    assert margin.passes == 1


def test_an_output_that_ignores_the_input_trains_without_nan() -> None:
    session = session_of({})
    for parameter in session.backbone.stem.parameters():
        parameter.data.zero_()
    session.before_epoch(0)
    images, labels = batch()
    loss = session.head(session.backbone(session.before_forward(images, labels)), labels)
    loss.backward()
    assert loss.isfinite()
    gradients = [p.grad for p in session.backbone.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_every_nth_step_counts_from_the_first() -> None:
    assert [step for step in range(1, 10) if is_due(step, 4)] == [1, 5, 9]
    assert all(is_due(step, 1) for step in range(1, 5))


@pytest.mark.parametrize("objective", ["shift", "literal"])
def test_a_batch_without_known_groups_leaves_ladv_out_of_k(objective: str) -> None:
    session = session_of({"objective": objective, "threshold": 0.0, "erasing": "off"})
    session.before_epoch(0)
    session.before_forward(*batch(), torch.full((4,), -1))
    expected = 0.15 if objective == "shift" else 1.0
    assert float(session.head.margin_softmax.angle) == pytest.approx(expected)
