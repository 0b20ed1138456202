# SPDX-License-Identifier: MIT
from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from arcface_fair import dist
from arcface_fair.errors import UserError
from gabn_plugin.classifier import MapClassifier
from gabn_plugin.config import GabnSettings
from tests.ranks import run_ranks


def classifier(**changes) -> MapClassifier:
    settings = GabnSettings(**{"classifier_width": 4, "map_side": 28, **changes})
    return MapClassifier(settings, 3, seed=1, device=torch.device("cpu"))


def maps_of(groups: Tensor, seed: int = 0) -> Tensor:
    """Maps [B, 56, 56] whose bright third of the rows tells the group."""
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(len(groups), 56, 56, generator=generator)
    for row, group in enumerate(groups.clamp_min(0).tolist()):
        maps[row, 18 * group : 18 * (group + 1)] += 1.0
    return maps


GROUPS = torch.tensor([0, 1, 2, 0, 1, 2, 0, -1, 1, 2, -1, 0])


def test_it_learns_groups_that_can_be_told_apart() -> None:
    judge = classifier(classifier_lr=0.05)
    for step in range(30):
        loss, accuracy = judge.learn(maps_of(GROUPS, step), GROUPS, GROUPS)
    assert loss < 0.3
    assert accuracy > 0.9


def test_the_maps_scale_does_not_matter() -> None:
    judge = classifier()
    maps = maps_of(GROUPS)
    torch.testing.assert_close(judge.inputs(maps * 1e-9), judge.inputs(maps))
    assert judge.inputs(maps).shape == (12, 1, 28, 28)


def test_confusion_is_cross_entropy_against_uniform_and_at_least_log_of_the_groups() -> None:
    judge = classifier()
    maps = maps_of(GROUPS)
    confusion = judge.confusion(maps)
    scores = judge.network.train()(judge.inputs(maps))
    torch.testing.assert_close(confusion, -scores.log_softmax(1).mean(1))
    assert (confusion >= math.log(3) - 1e-6).all()
    with torch.no_grad():
        judge.network.fc.weight.zero_()
        judge.network.fc.bias.zero_()
    torch.testing.assert_close(judge.confusion(maps), torch.full((12,), math.log(3)))


def test_confusion_reaches_the_maps_and_never_the_classifier() -> None:
    judge = classifier()
    maps = maps_of(GROUPS).requires_grad_()
    before = {name: value.clone() for name, value in judge.network.state_dict().items()}
    judge.confusion(maps).sum().backward()
    assert maps.grad.any()
    assert all(p.grad is None and p.requires_grad for p in judge.network.parameters())
    for name, value in judge.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_maps_of_zeros_teach_and_confuse_without_nan() -> None:
    judge = classifier()
    maps = torch.zeros(12, 56, 56, requires_grad=True)
    loss, _ = judge.learn(maps, GROUPS, GROUPS)
    confusion = judge.confusion(maps).sum()
    confusion.backward()
    assert loss.isfinite()
    assert confusion.isfinite()
    assert not maps.grad.any()


def test_rows_of_unknown_group_teach_nothing() -> None:
    one, other = classifier(), classifier()
    maps = maps_of(GROUPS)
    different = maps.clone()
    different[GROUPS < 0] = 7.0
    one.learn(maps, GROUPS, GROUPS)
    other.learn(different, GROUPS, GROUPS)
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_groups_count_alike_or_maps_do_as_settings_say() -> None:
    groups = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, -1])  # the third group is not in the batch
    found = {}
    for balance in (True, False):
        judge = classifier(classifier_balance=balance)
        with torch.no_grad():
            judge.network.fc.weight.zero_()
            judge.network.fc.bias.copy_(torch.tensor([2.0, 0.0, 0.0]))  # always the first
        found[balance] = [float(v) for v in judge.learn(maps_of(groups), groups, groups)]
    log_p = torch.tensor([2.0, 0.0, 0.0]).log_softmax(0)
    assert found[True] == pytest.approx([float(-(log_p[0] + log_p[1]) / 2), 0.5])
    assert found[False] == pytest.approx([float(-(6 * log_p[0] + 2 * log_p[1]) / 8), 0.75])


def _learn_on_rank(sizes: list[int]) -> tuple:
    own = torch.arange(12).split(sizes)[dist.rank()]
    judge = classifier(classifier_lr=0.01)
    for step in range(2):
        figures = judge.learn(maps_of(GROUPS, step)[own], GROUPS[own], GROUPS)
    return figures, list(judge.network.state_dict().values())


@pytest.mark.parametrize("sizes", [[6, 6], [7, 5]])
def test_two_processes_learn_what_one_does_and_agree_to_the_last_bit(sizes: list[int]) -> None:
    whole = run_ranks(1, _learn_on_rank, [12])[0]
    first, second = run_ranks(2, _learn_on_rank, sizes)
    torch.testing.assert_close(first[0], whole[0], rtol=1e-4, atol=1e-5)
    for a, b, c in zip(first[1], second[1], whole[1], strict=True):
        if a.is_floating_point():
            assert torch.equal(a, b)
            torch.testing.assert_close(a, c, rtol=1e-3, atol=1e-4)


def test_it_goes_on_from_its_state_as_if_nothing_had_happened() -> None:
    whole, parts = classifier(), classifier()
    for step in range(2):
        parts.learn(maps_of(GROUPS, step), GROUPS, GROUPS)
        whole.learn(maps_of(GROUPS, step), GROUPS, GROUPS)
    resumed = classifier(seed=9)
    resumed.load_state_dict(parts.state_dict())
    whole.learn(maps_of(GROUPS, 3), GROUPS, GROUPS)
    resumed.learn(maps_of(GROUPS, 3), GROUPS, GROUPS)
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_state_of_another_classifier_is_refused() -> None:
    with pytest.raises(UserError, match="has 3 groups and width 4, this run has 3 and 8; resume"):
        classifier(classifier_width=8).load_state_dict(classifier().state_dict())


def test_the_epoch_sets_the_rate() -> None:
    judge = classifier(classifier_lr=0.2, classifier_lr_steps=(2,))
    judge.set_epoch(2)
    assert judge.optimizer.param_groups[0]["lr"] == pytest.approx(0.02)
