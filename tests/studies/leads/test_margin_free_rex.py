# SPDX-License-Identifier: MIT
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from arcface_fair import dist
from arcface_fair.data.groups import GroupTable
from arcface_fair.errors import UserError
from arcface_fair.head import CIFP, ArcFace, CombinedMargin, CosFace, PartialFC
from studies.leads.margin_free_rex import Settings, build, plain_ce
from tests.studies.leads.runs import losses_of

ROWS, CLASSES, DIM, SCALE = 8, 6, 5, 16.0
WORDS = ["a", "a", "b", "b", "c", "c"]
LABELS = torch.arange(ROWS) % CLASSES
MARGINS = {"exact": ArcFace(SCALE, 0.3, "exact"), "upstream": ArcFace(SCALE, 0.3),
           "cosface": CosFace(SCALE, 0.35)}  # fmt: skip


def embeddings() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(ROWS, DIM, generator=generator, dtype=torch.float64)


def penalty_on_rank(margin: str, kernel: str) -> tuple[Tensor, Tensor, Tensor]:
    """The penalty, d/d embeddings [N, D] as DDP would average it, d/d centres [C, D]."""
    head = PartialFC(MARGINS[margin], DIM, CLASSES, seed=2, kernel=kernel).double()  # type: ignore[arg-type]
    head.weight.data.mul_(100)
    head.block_columns = 2
    session: Any = SimpleNamespace(
        head=head, num_classes=CLASSES, device=torch.device("cpu"), shared={},
        group_table=GroupTable.of_words({"race": WORDS}), group_attribute="race",
        log=lambda tag, value: None,
    )  # fmt: skip
    session.run = session
    (penalty,) = build(Settings(groups="table"), session).penalties
    found = []

    def term(statistics: Any) -> Tensor:
        found.append(penalty.function(SimpleNamespace(  # type: ignore[arg-type]
            ce=statistics.ce, batch_labels=statistics.labels)))  # fmt: skip
        return found[-1] - statistics.ce.mean()  # leaves the penalty alone in the loss

    head.terms.append(term)
    own = torch.arange(ROWS).chunk(dist.world_size())[dist.rank()]
    rows = embeddings()[own].requires_grad_()
    head(rows, LABELS[own]).backward()
    assert rows.grad is not None
    gradients = dist.gather_rows(rows.grad) / dist.world_size()
    centres = torch.cat(dist.gather_objects(head.weight.grad))
    return found[0].detach(), gradients, centres


def by_formula() -> tuple[Tensor, Tensor, Tensor]:
    rows = embeddings().requires_grad_()
    head = PartialFC(ArcFace(), DIM, CLASSES, seed=2).double()
    head.weight.data.mul_(100)
    cosines = normalize(rows) @ normalize(head.weight).T
    ce = cross_entropy(SCALE * cosines, LABELS, reduction="none")
    groups = torch.tensor([0, 0, 1, 1, 2, 2])[LABELS]
    risks = torch.stack([ce[groups == g].mean() for g in range(3)])
    value = risks.var(correction=1)
    value.backward()
    assert rows.grad is not None
    assert head.weight.grad is not None
    return value.detach(), rows.grad, head.weight.grad


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("world", [1, 2])
def test_the_penalty_is_the_variance_of_plain_risks_on_a_dense_softmax(
    run_ranks, world, margin, kernel
):
    for answer in run_ranks(world, penalty_on_rank, margin, kernel):
        for found, wanted in zip(answer, by_formula(), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_certain_and_hopeless_rows_stay_finite():
    ce = torch.tensor([0.0, 1e-20, 1e-3, 60.0, 500.0], requires_grad=True)
    gap = torch.tensor([-5.0, -5.0, 0.0, -5.0, -5.0])
    plain = plain_ce(ce, gap)
    plain.sum().backward()
    assert plain.tolist() == pytest.approx([0.0, 0.0, 1e-3, 55.0, 495.0], rel=1e-4, abs=1e-12)
    assert ce.grad is not None
    assert ce.grad.isfinite().all()


@pytest.mark.parametrize(
    ("margin", "name"),
    [(CIFP(ArcFace()), "CIFP"), (CombinedMargin(64, 1, 0.5, 0, 0.4), "CombinedMargin")],
)
def test_a_margin_that_changes_more_than_the_target_is_refused(margin, name):
    session: Any = SimpleNamespace(head=SimpleNamespace(margin_softmax=margin))
    with pytest.raises(UserError, match=f"changes the target alone, found {name}; use ArcFace"):
        build(Settings(), session)


def test_settings_out_of_range_are_refused():
    with pytest.raises(UserError, match=r"margin_free_rex.weight is -1, expected at least 0"):
        Settings(weight=-1.0)
    with pytest.raises(UserError, match=r"margin_free_rex.groups is 'x', expected one of table"):
        Settings(groups="x")


def test_it_follows_the_partitions_of_a_run(record, tmp_path):
    plugins = ["invreg_plugin", "studies.leads.margin_free_rex"]
    changes = {"invreg": {"weight": 0.0, "stages": (1,), "partition": "random"}}
    runs = {
        weight: losses_of(
            str(record), str(tmp_path / f"run_{weight}"), plugins,
            {**changes, "margin_free_rex": {"weight": weight}},
        )
        for weight in (0.0, 3.0)
    }  # fmt: skip
    difference = abs(np.array(runs[3.0]) - runs[0.0])
    assert len(difference) == 12
    assert difference[:6].max() < 1e-9, "no partition, no penalty"
    assert difference[6:].max() > 1e-3
