# SPDX-License-Identifier: MIT
"""The map is the gradient that the paper prints, on any number of ranks, and disturbs nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from arcface_fair import dist
from arcface_fair.attention.gradient_maps import (
    ObjectiveScale,
    attend,
    certainty,
    frozen,
    group_sums,
    half_mass_area,
    plain_margin,
    relative_maps,
    rolled,
    share_of_rows,
    statistics_held,
)
from arcface_fair.backbones import get_model
from arcface_fair.errors import UserError
from arcface_fair.head import Active, ArcFace, PartialFC
from tests.ranks import run_ranks

CLASSES, DIM, SCALE = 11, 16, 16.0


def network(**options: Any) -> nn.Module:
    torch.manual_seed(3)
    return get_model("small", num_features=DIM, **options)


def batch(rows: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(rows, 3, 112, 112, generator=generator) * 2 - 1
    return images, torch.arange(rows) % CLASSES


def head_of(sample_rate: float = 1.0, kernel: Any = "auto") -> PartialFC:
    head = PartialFC(ArcFace(SCALE, 0.3), DIM, CLASSES, sample_rate, kernel=kernel, seed=5)
    head.weight.data.mul_(100)
    return head


def by_definition(
    backbone: nn.Module, images: Tensor, weight: Tensor, margin: Any, labels: Tensor
) -> Tensor:
    """max over channels |d sum_i mean_j (P_max - P_j) / d x| on one full softmax, by autograd."""
    images = images.clone().requires_grad_()
    cosines = normalize(backbone(images)) @ normalize(weight).T
    p = margin(cosines.clamp(-1, 1), labels).softmax(1)
    objective = (p.max(1, keepdim=True).values - p).mean(1).sum()
    return torch.autograd.grad(objective, images)[0].abs().amax(1)


def _maps_on_rank(sample_rate: float, with_margin: bool, kernel: str) -> tuple[Tensor, ...]:
    images, labels = batch()
    own = torch.arange(len(images)).chunk(dist.world_size())[dist.rank()]
    backbone = network().eval()
    head = head_of(sample_rate, kernel)
    torch.manual_seed(7 + dist.rank())
    active = head.sample(labels[own])
    margin = head.margin_softmax if with_margin else plain_margin(head.margin_softmax)
    seen = attend(backbone, head, images[own], labels[own], margin=margin, active=active)
    index = torch.arange(head.num_local) if active.index is None else active.index
    return seen.maps, seen.pmax, index + head.class_start, head.weight.detach()[index]


@pytest.mark.parametrize("with_margin", [False, True])
@pytest.mark.parametrize("kernel", ["dense", "chunked"])
@pytest.mark.parametrize("sample_rate", [1.0, 0.5])
@pytest.mark.parametrize("world_size", [1, 2])
def test_the_map_is_the_gradient_of_the_mean_of_pmax_minus_p(
    world_size: int, sample_rate: float, kernel: str, with_margin: bool
) -> None:
    answers = run_ranks(world_size, _maps_on_rank, sample_rate, with_margin, kernel)
    maps = torch.cat([answer[0] for answer in answers])
    active = torch.cat([answer[2] for answer in answers])
    weight = torch.cat([answer[3] for answer in answers])
    images, labels = batch()
    columns = (active[None] == labels[:, None]).int().argmax(1)
    margin = ArcFace(SCALE, 0.3) if with_margin else lambda cosines, _: SCALE * cosines
    expected = by_definition(network().eval(), images, weight, margin, columns)
    assert len(active) == CLASSES if sample_rate == 1 else len(active) < CLASSES
    torch.testing.assert_close(maps, expected, rtol=0, atol=1e-5 * float(expected.max()))
    for answer in answers:
        assert torch.equal(answer[1], answers[0][1])  # pmax of all rows, equal on all ranks


def test_the_pass_leaves_statistics_modes_and_gradients_alone() -> None:
    images, labels = batch()
    backbone, head = network().train(), head_of()
    before = copy.deepcopy(backbone.state_dict())
    attend(backbone, head, images, labels, margin=plain_margin(head.margin_softmax))
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None for p in (*backbone.parameters(), *head.parameters()))
    assert all(p.requires_grad for p in head.parameters())
    backbone(images)  # and the second pass does update them
    assert not torch.equal(backbone.state_dict()["features.running_mean"],
                           before["features.running_mean"])  # fmt: skip


def test_the_pass_normalises_by_the_batch_in_train_mode() -> None:
    images, labels = batch()
    backbone, head = network().train(), head_of()
    seen = attend(backbone, head, images, labels, margin=plain_margin(head.margin_softmax))
    with torch.no_grad():
        torch.testing.assert_close(seen.embeddings, backbone(images))


@pytest.mark.slow
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradient_checkpointing_gives_the_same_maps_and_weights_gradient(
    create_graph: bool,
) -> None:
    images, labels = batch(2)
    images = images.double()  # a checkpointed unit differentiates twice by other kernels
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        backbone = get_model("r18", num_features=DIM, gradient_checkpointing=checkpointing)
        backbone = backbone.double().train()
        head = head_of().double()
        seen = attend(
            backbone, head, images, labels,
            margin=plain_margin(head.margin_softmax), create_graph=create_graph,
        )  # fmt: skip
        if create_graph:
            relative_maps(seen.maps).square().mean().backward()
            found.append((seen.maps.detach(), backbone.layer1[0].conv1.weight.grad))
        else:
            found.append((seen.maps, torch.zeros(1, dtype=torch.float64)))
        assert backbone.bn1.num_batches_tracked == 0
    torch.testing.assert_close(found[0][0], found[1][0], rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-5, atol=1e-9)


def test_autocast_gives_nearly_the_same_map() -> None:
    images, labels = batch()
    head = head_of()
    maps = []
    for half in (False, True):
        backbone = network(fp16=half).eval()  # bfloat16 on a CPU
        seen = attend(backbone, head, images, labels, margin=plain_margin(head.margin_softmax))
        assert seen.maps.dtype == torch.float32
        maps.append(seen.maps.flatten(1))
    assert torch.cosine_similarity(*maps).min() > 0.95


@pytest.fixture
def float16_on_cpu():
    before = torch.get_autocast_dtype("cpu")
    torch.set_autocast_dtype("cpu", torch.float16)
    yield
    torch.set_autocast_dtype("cpu", before)


def test_float16_maps_of_confident_rows_survive_by_the_objectives_scale(float16_on_cpu) -> None:
    images, labels = batch()
    exact, half = network().eval(), network(fp16=True).eval()
    head = head_of()
    with torch.no_grad():  # rows at their own centre, others opposite: pmax is 1 but for 1e-6
        centres = normalize(exact(images))
        head.weight.data[:4] = centres
        head.weight.data[4:] = -centres.mean(0)
    margin = plain_margin(ArcFace(40.0, 0.3))
    expected = attend(exact, head, images, labels, margin=margin).maps.flatten(1)
    scale = ObjectiveScale()
    scaled = attend(half, head, images, labels, margin=margin, scale=scale).maps.flatten(1)
    plain = attend(half, head, images, labels, margin=margin).maps.flatten(1)
    similarity = torch.cosine_similarity(scaled, expected)
    assert similarity.min() > 0.9
    assert similarity.min() > torch.cosine_similarity(plain, expected).min()


def test_an_overflow_lowers_the_scale_until_the_map_is_finite(float16_on_cpu) -> None:
    images, labels = batch()
    backbone, head, scale = network(fp16=True).eval(), head_of(), ObjectiveScale()
    scale.value = 2.0**40
    seen = attend(backbone, head, images, labels, margin=plain_margin(ArcFace(8.0, 0.3)),
                  scale=scale)  # fmt: skip
    assert seen.maps.isfinite().all()
    assert seen.maps.max() > 0
    assert scale.value < 2.0**40


def test_the_scale_doubles_after_a_while_and_survives_a_restart() -> None:
    scale = ObjectiveScale()
    for _ in range(50):
        scale.passed()
    assert scale.value == 2.0**13
    restarted = ObjectiveScale()
    restarted.load_state_dict(scale.state_dict())
    assert restarted.value == 2.0**13
    scale.value = 2.0
    assert [scale.lower(), scale.lower()] == [False, False]


class Constant(nn.Module):
    """Embeddings that do not depend on the images."""

    def __init__(self, depends_on_weight: bool) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.ones(DIM))
        self.depends = depends_on_weight

    def forward(self, images: Tensor) -> Tensor:
        row = self.row if self.depends else self.row.detach()
        return row.expand(len(images), DIM)


@pytest.mark.parametrize("depends_on_weight", [False, True])
@pytest.mark.parametrize("create_graph", [False, True])
def test_an_output_that_ignores_the_input_gives_a_map_of_zeros(
    depends_on_weight: bool, create_graph: bool
) -> None:
    images, labels = batch()
    seen = attend(
        Constant(depends_on_weight), head_of(), images, labels,
        margin=plain_margin(ArcFace(SCALE, 0.3)), create_graph=create_graph,
    )  # fmt: skip
    assert torch.equal(seen.maps, torch.zeros(4, 112, 112))
    assert torch.equal(relative_maps(seen.maps), seen.maps)


def test_relative_maps_have_mean_one_and_zeros_stay_zeros_with_a_finite_gradient() -> None:
    maps = torch.stack([torch.rand(5, 5) * 1e-12, torch.zeros(5, 5)]).requires_grad_()
    relative = relative_maps(maps)
    torch.testing.assert_close(relative.mean((1, 2)), torch.tensor([1.0, 0.0]))
    relative.square().sum().backward()
    assert maps.grad.isfinite().all()
    assert not maps.grad[1].any()


def test_half_of_the_mass_of_a_map() -> None:
    flat = torch.ones(10, 10)
    point = torch.zeros(10, 10)
    point[3, 4] = 2.0
    two = torch.zeros(10, 10)
    two[0, :4] = 1.0
    areas = half_mass_area(torch.stack([flat, point, two]))
    torch.testing.assert_close(areas, torch.tensor([0.5, 0.005, 0.02]))
    assert half_mass_area(torch.zeros(1, 4, 4)).isnan().all()


def test_group_sums_leave_unknown_rows_out_and_count() -> None:
    values = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    sums, counts = group_sums(values, torch.tensor([0, 2, -1, 0]), 3)
    assert sums.tolist() == [[8, 10], [0, 0], [3, 4]]
    assert counts.tolist() == [2, 0, 1]


def test_a_share_of_rows_is_at_least_one() -> None:
    assert [share_of_rows(8, s) for s in (0.01, 0.25, 0.3, 1.0)] == [1, 2, 3, 8]


def test_contexts_restore_what_they_found_after_an_error() -> None:
    backbone = network().train()
    fixed = next(backbone.parameters())
    fixed.requires_grad_(False)
    with pytest.raises(KeyError), statistics_held(backbone), frozen(backbone):
        raise KeyError
    assert backbone.features.momentum == 0.1
    assert backbone.features.num_batches_tracked is not None
    assert [p.requires_grad for p in backbone.parameters()].count(False) == 1


def test_certainty_is_the_sum_of_pmax_with_a_graph() -> None:
    images, labels = batch()
    backbone, head = network().train(), head_of()
    margin = plain_margin(head.margin_softmax)
    total = certainty(backbone, head, images, labels, None, margin)
    seen = attend(backbone, head, images, labels, margin=margin)
    torch.testing.assert_close(total, seen.pmax.sum())
    total.backward()
    assert backbone.fc.weight.grad is not None


def test_a_margin_that_hides_its_scale_is_refused() -> None:
    with pytest.raises(UserError, match="has no attribute 's', expected its scale"):
        plain_margin(lambda cosines, labels: cosines)


def test_the_heads_forward_takes_the_sample_of_the_first_pass_once() -> None:
    head = head_of(0.5)
    _, labels = batch()
    rows = torch.randn(4, DIM, generator=torch.Generator().manual_seed(1))
    active = head.sample(labels)
    assert isinstance(active, Active)
    expected = head.statistics(rows, labels, active=active).ce.mean()
    losses = []
    for _ in range(5):
        head.next_active = active
        losses.append(head(rows, labels))
        assert head.next_active is None
    assert all(torch.equal(loss, expected) for loss in losses)
    assert any(not torch.equal(head(rows, labels), expected) for _ in range(5))


def test_rolled_masks_keep_shape_and_area_and_move_on_a_torus():
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[0, 5] = mask[1, 5] = True
    down, right = torch.tensor([0, 3, 2]), torch.tensor([0, 1, 5])
    moved = rolled(mask, down, right)
    for image in range(3):
        expected = mask.roll((int(down[image]), int(right[image])), (0, 1))
        assert torch.equal(moved[image], expected)
    own = rolled(torch.stack([mask, ~mask, mask]), down, right)  # a mask per image
    assert torch.equal(own[1], ~moved[1])
    assert torch.equal(own[2], moved[2])
