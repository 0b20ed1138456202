# SPDX-License-Identifier: MIT
"""The head keeps the interface that upstream's users know, and shares one sample between passes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.head import ArcFace, MarginContext, PartialFC
from tests.arcface_fair.head.full_softmax import make_batch, make_head
from tests.ranks import run_ranks


def test_the_state_dict_holds_the_weight_and_nothing_else() -> None:
    head = PartialFC(ArcFace(), 6, 10, 0.5)
    head(torch.randn(4, 6), torch.tensor([0, 1, 2, 3])).backward()
    assert list(head.state_dict()) == ["weight"]
    assert [name for name, _ in head.named_parameters()] == ["weight"]


def shard_facts() -> tuple[int, int, tuple[int, ...], float]:
    head = PartialFC(ArcFace(), 6, 10, sample_rate=0.5, fp16=False)
    return head.class_start, head.num_local, tuple(head.weight.shape), head.sample_rate


def test_classes_are_dealt_as_upstream_deals_them() -> None:
    assert run_ranks(3, shard_facts) == [
        (0, 4, (4, 6), 0.5),
        (4, 3, (3, 6), 0.5),
        (7, 3, (3, 6), 0.5),
    ]


def test_ranks_without_a_class_still_take_part() -> None:
    answers = run_ranks(3, _more_ranks_than_classes)
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] > 0


def _more_ranks_than_classes() -> float:
    head = PartialFC(ArcFace(), 6, 2)
    loss = head(torch.ones(2, 6) + dist.rank(), torch.tensor([0, 1]))
    loss.backward()
    return loss.item()


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([1.0, 4.0, 2.0]),
        torch.tensor([[1], [4], [2]]),
        torch.tensor([1, 4, 2], dtype=torch.int32),
        torch.tensor([[1.0, 4.0, 2.0]], dtype=torch.float16),
    ],
)
def test_labels_come_as_float_or_int_in_any_shape(labels: Tensor) -> None:
    head, rows = PartialFC(ArcFace(), 6, 10), torch.randn(3, 6)
    assert head(rows, labels).item() == head(rows, torch.tensor([1, 4, 2])).item()


def test_terms_are_added_to_the_mean_loss() -> None:
    head, rows, labels = PartialFC(ArcFace(), 6, 10), torch.randn(3, 6), torch.tensor([1, 4, 2])
    plain = head(rows, labels).item()
    head.terms.append(lambda statistics: 0.5 * statistics.entropy.mean())
    head.terms.append(lambda statistics: statistics.labels.sum() * 1.0)
    wanted = plain + 0.5 * head.statistics(rows, labels).entropy.mean().item() + 7
    assert head(rows, labels).item() == pytest.approx(wanted)


def gradients(entry: str) -> Tensor:
    head = PartialFC(ArcFace(), 6, 10)
    rows = torch.linspace(-1, 1, 12).view(2, 6).clone().requires_grad_()
    labels = torch.tensor([0, 7])
    loss = head(rows, labels) if entry == "forward" else head.statistics(rows, labels).ce.mean()
    (grad,) = torch.autograd.grad(loss, rows)
    return grad


def test_only_forward_multiplies_by_the_world_size() -> None:
    for forward, bare in zip(
        run_ranks(2, gradients, "forward"), run_ranks(2, gradients, "statistics"), strict=True
    ):
        torch.testing.assert_close(forward, 2 * bare)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_two_passes_of_a_step_share_one_sample(kernel: Any) -> None:
    head = PartialFC(ArcFace(), 6, 50, 0.3, kernel=kernel)
    rows, labels = torch.randn(4, 6), torch.tensor([3, 40, 3, 7])
    active = head.sample(labels)
    one, two = (head.statistics(rows, labels, active=active) for _ in range(2))
    assert torch.equal(one.ce, two.ce)
    assert active.index is not None
    assert torch.equal(active.index, head.weight_index)  # type: ignore[arg-type]


def test_the_loss_with_sampling_is_that_of_the_sampled_classes() -> None:
    head = PartialFC(ArcFace(), 6, 50, 0.3)
    rows, labels = torch.randn(4, 6), torch.tensor([3, 40, 3, 7])
    active = head.sample(labels)
    assert active.index is not None
    smaller = PartialFC(ArcFace(), 6, len(active.index))
    with torch.no_grad():
        smaller.weight.copy_(head.weight[active.index])
    inside = torch.searchsorted(active.index, labels)
    ours, theirs = head.statistics(rows, labels, active=active), smaller.statistics(rows, inside)
    torch.testing.assert_close(ours.ce, theirs.ce)


@pytest.mark.parametrize("kernel", ["dense", "chunked"])
def test_another_margin_may_be_given_for_one_pass(kernel: str) -> None:
    batch = make_batch(0)
    head = make_head(batch, "arcface", kernel)
    plain = head.statistics(batch.embeddings, batch.labels, margin=lambda cos, labels: 24.0 * cos)
    unit = torch.nn.functional.normalize
    logits = 24.0 * unit(batch.embeddings) @ unit(batch.weight).T
    torch.testing.assert_close(plain.pmax, logits.softmax(1).amax(1))


class GroupShift(torch.nn.Module):
    """Asks for groups, and lowers the target by a tenth of the group's number."""

    needs_context = True

    def forward(self, cosines: Tensor, labels: Tensor, context: MarginContext) -> Tensor:
        assert context.groups is not None
        own = labels == torch.arange(cosines.shape[1])
        return 8 * (cosines - own * context.groups[:, None] * 0.1)


def grouped(kernel: Any) -> Tensor:
    head = PartialFC(GroupShift(), 6, 10, kernel=kernel)
    head.groups = torch.tensor([dist.rank(), 3])
    rows = torch.linspace(-1, 1, 12).view(2, 6) + dist.rank()
    return head.statistics(rows, torch.tensor([0, 7])).ce.detach()


def test_a_margin_sees_the_gathered_groups() -> None:
    dense, chunked = run_ranks(2, grouped, "dense"), run_ranks(2, grouped, "chunked")
    torch.testing.assert_close(dense[0], chunked[1])
    head = PartialFC(lambda cos, labels: 8 * cos, 6, 10)
    rows = torch.cat([torch.linspace(-1, 1, 12).view(2, 6) + rank for rank in range(2)])
    labels, groups = torch.tensor([0, 7, 0, 7]), torch.tensor([0, 3, 1, 3])
    unit = torch.nn.functional.normalize
    logits = 8 * unit(rows) @ unit(head.weight.detach()).T
    logits[torch.arange(4), labels] -= 0.8 * groups
    wanted = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(dense[0], wanted)


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_autocast_gives_both_kernels_one_answer_near_the_full_precision(rate: float) -> None:
    rows, labels = torch.randn(6, 16), torch.tensor([0, 5, 9, 30, 31, 5])
    answers = {}
    for kernel in ("dense", "chunked", "float32"):
        torch.manual_seed(0)
        chosen: Any = "dense" if kernel == "float32" else kernel
        head = PartialFC(ArcFace(16.0), 16, 40, rate, kernel=chosen)
        leaf = rows.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=kernel != "float32"):
            loss = head(leaf, labels)
            assert loss.dtype == torch.float32
        loss.backward()
        answers[kernel] = (loss.detach(), leaf.grad, head.weight.grad)
    for index, name in enumerate(("loss", "rows", "weight")):
        one, two, full = (answers[kernel][index] for kernel in ("dense", "chunked", "float32"))
        assert one is not None
        assert two is not None
        assert full is not None
        size = float(full.abs().max())
        assert float((one - two).abs().max()) <= 0.01 * size, name
        assert float((one - full).abs().max()) <= 0.02 * size, name


def test_half_precision_embeddings_are_promoted() -> None:
    head, rows = PartialFC(ArcFace(), 6, 10), torch.randn(3, 6, dtype=torch.float16)
    labels = torch.tensor([1, 4, 2])
    assert head(rows, labels).item() == head(rows.float(), labels).item()


def test_print_shows_the_settings() -> None:
    assert "num_classes=10, held=10, sample_rate=1.0, kernel='auto'" in repr(
        PartialFC(ArcFace(), 6, 10)
    )
