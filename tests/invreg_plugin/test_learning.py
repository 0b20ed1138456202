# SPDX-License-Identifier: MIT
"""Partitions are learned from features alone: what was planted is found, on any number of ranks."""

from pathlib import Path

import numpy as np
import pytest
import torch

from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import NOT_ASSIGNED, agreement
from invreg_plugin.config import InvRegSettings
from invreg_plugin.features import FeatureStore
from invreg_plugin.learning import LearnedPartition, RowAdam, learn_partition
from invreg_plugin.objective import similarities, value_and_gradient
from tests.ranks import run_ranks

REFERENCE = Path(__file__).parents[2] / "../shared/reference/invreg_partition.in.npz"


def reference() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [1025, 512], identities [1025], the attribute planted in the 40 identities."""
    if not REFERENCE.exists():
        pytest.skip(f"{REFERENCE} is not here; it holds the planted features")
    data = np.load(REFERENCE)
    return data["feat"], data["labels"], data["att"]


def planted(
    num_classes: int, subsets: int = 2, images: int = 6, dim: int = 64, shift: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features around one centre per identity, the centres moved by their attribute."""
    generator = np.random.default_rng(num_classes)
    attribute = generator.integers(0, subsets, num_classes)
    directions = generator.standard_normal((subsets, dim))
    directions -= directions.mean(0)
    centres = generator.standard_normal((num_classes, dim)) + shift * directions[attribute]
    identities = np.repeat(np.arange(num_classes), images)
    features = centres[identities] + 0.7 * generator.standard_normal((len(identities), dim))
    return features.astype(np.float16), identities, attribute


@pytest.mark.parametrize("objective", ["paper", "irmv1"])
@pytest.mark.parametrize("seed", range(5))
def test_the_planted_attribute_of_the_reference_is_recovered(objective, seed):
    features, identities, attribute = reference()
    settings = InvRegSettings(objective=objective)
    partition = learn_partition(features, identities, 40, settings, seed=seed)
    assert agreement(partition.subset, attribute).best_match_accuracy >= 0.99
    assert partition.confidence.min() > 0.9


def test_rex_finds_subsets_that_differ_more_than_those_of_the_attribute():
    """Both sides of the reference's attribute are equally hard, so their risks hardly differ."""
    features, identities, attribute = reference()
    found = learn_partition(features, identities, 40, InvRegSettings(objective="rex"))
    assert 20 * _variance(features, identities, found.subset) > 2.0
    assert 20 * _variance(features, identities, attribute) < 0.2


def _variance(features: np.ndarray, identities: np.ndarray, subset: np.ndarray) -> float:
    rows = torch.nn.functional.normalize(torch.from_numpy(features))
    sim = similarities(rows, torch.from_numpy(identities), slice(None), 0.3)
    hard = torch.nn.functional.one_hot(torch.from_numpy(subset).long(), 2).double()
    return float(value_and_gradient("rex", sim, hard, 0.0).averages.var())


def test_rex_separates_crowded_identities_from_the_others():
    generator = np.random.default_rng(0)
    crowded = np.arange(300) % 3 == 0
    centres = generator.standard_normal((300, 64))
    centres[crowded] = 0.5 * centres[crowded] + generator.standard_normal(64)
    identities = np.repeat(np.arange(300), 6)
    features = centres[identities] + 0.5 * generator.standard_normal((1800, 64))
    settings = InvRegSettings(objective="rex")
    partition = learn_partition(features, identities, 300, settings)
    assert agreement(partition.subset, crowded).best_match_accuracy >= 0.95


def learned_on_ranks(path: str) -> LearnedPartition:
    data = np.load(path)
    return learn_partition(data["feat"], data["labels"], 40, InvRegSettings(), seed=3)


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_agree_on_one_matrix_that_is_the_one_of_a_single_process(world_size):
    features, identities, attribute = reference()
    alone = learn_partition(features, identities, 40, InvRegSettings(), seed=3)
    results = run_ranks(world_size, learned_on_ranks, str(REFERENCE.resolve()))
    for result in results:
        assert agreement(result.subset, attribute).best_match_accuracy >= 0.99
        np.testing.assert_array_equal(result.confidence, results[0].confidence)
        np.testing.assert_array_equal(result.subset, alone.subset)
        np.testing.assert_allclose(result.confidence, alone.confidence, atol=1e-4)
        assert result.report == alone.report


@pytest.mark.parametrize("subsets", [3, 4])
def test_more_than_two_subsets_are_found(subsets):
    features, identities, attribute = planted(400, subsets)
    partition = learn_partition(features, identities, 400, InvRegSettings(), num_subsets=subsets)
    assert agreement(partition.subset, attribute).best_match_accuracy >= 0.97
    assert sum(partition.sizes) == 400


def test_the_order_of_the_record_does_not_matter():
    features, identities, attribute = planted(60)
    order = np.random.default_rng(1).permutation(len(identities))
    partition = learn_partition(features[order], identities[order], 60, InvRegSettings())
    assert agreement(partition.subset, attribute).best_match_accuracy >= 0.99


def test_the_same_seed_gives_the_same_partition_and_another_seed_another_start():
    features, identities, _ = planted(60)
    first, again, other = (
        learn_partition(features, identities, 60, InvRegSettings(), seed=seed) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.confidence, again.confidence)
    assert first.history == again.history
    assert first.history[0] != other.history[0]


def test_a_feature_store_gives_the_partition_of_the_array(tmp_path):
    features, identities, _ = planted(60)
    with FeatureStore.create(tmp_path / "f", len(identities), 64, "model") as store:
        store.write(0, features)
        from_disk = learn_partition(store, identities, 60, InvRegSettings())
    from_memory = learn_partition(features, identities, 60, InvRegSettings())
    np.testing.assert_array_equal(from_disk.confidence, from_memory.confidence)


def test_identities_with_one_image_or_none_are_counted_and_used_where_they_can_be(caplog):
    features, identities, attribute = planted(60)
    keep = np.ones(len(identities), bool)
    keep[np.isin(identities, (5, 6))] = False  # no image at all
    keep[np.flatnonzero(np.isin(identities, range(10, 20)))[1::6]] = False  # five of six
    single = np.isin(identities, range(20, 30)) & (np.arange(len(identities)) % 6 > 0)
    keep &= ~single  # one image each
    partition = learn_partition(features[keep], identities[keep], 60, InvRegSettings())
    assert partition.report["identities"] == 58
    assert partition.report["identities_without_images"] == 2
    assert partition.report["identities_with_one_image"] == 10
    assert np.flatnonzero(partition.subset == NOT_ASSIGNED).tolist() == [5, 6]
    assert partition.confidence[[5, 6]].tolist() == [0, 0]
    assert "10 of 58 identities have one image" in caplog.text
    assert sum(partition.sizes) == 58
    known = partition.subset != NOT_ASSIGNED
    assert agreement(partition.subset[known], attribute[known]).best_match_accuracy >= 0.98


def test_learning_stops_early_once_nothing_changes_and_says_after_how_many_steps():
    features, identities, _ = planted(60)
    early = learn_partition(features, identities, 60, InvRegSettings())
    late = learn_partition(features, identities, 60, InvRegSettings(patience=0))
    assert early.report["steps"] < late.report["steps"] == late.report["planned_steps"]
    np.testing.assert_array_equal(early.subset, late.subset)
    assert early.objective == early.history[-1]["objective"]
    assert early.history[-1]["changed"] == 0


def test_learning_works_where_the_caller_has_gradients_off():
    features, identities, attribute = planted(60)
    with torch.no_grad():
        partition = learn_partition(features, identities, 60, InvRegSettings())
    assert agreement(partition.subset, attribute).best_match_accuracy >= 0.99


def test_progress_hears_of_every_step():
    features, identities, _ = planted(60)
    heard: list[tuple[int, int, float]] = []
    settings = InvRegSettings(patience=0, min_steps=1, visits=7, identities_per_batch=20)
    partition = learn_partition(
        features, identities, 60, settings, progress=lambda *seen: heard.append(seen)
    )
    assert [step for step, _, _ in heard] == list(range(1, 22))
    assert {total for _, total, _ in heard} == {21}
    rates = [entry["learning_rate"] for entry in partition.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.5 * 0.2**4)


def test_the_projection_head_finds_the_attribute_too():
    features, identities, attribute = planted(60)
    settings = InvRegSettings(projection=True)
    partition = learn_partition(features, identities, 60, settings)
    assert agreement(partition.subset, attribute).best_match_accuracy >= 0.95


def test_fewer_identities_than_subsets_are_refused():
    features, identities, _ = planted(3)
    with pytest.raises(UserError, match="3 identities with images cannot fill 4 subsets"):
        learn_partition(features, identities, 10, InvRegSettings(), num_subsets=4)


def test_identities_without_a_second_image_are_refused():
    with pytest.raises(UserError, match="none of 5 identities has two images"):
        learn_partition(np.eye(5), np.arange(5), 5, InvRegSettings())


def test_features_of_another_record_are_refused():
    with pytest.raises(UserError, match=r"features have shape \(5, 5\) for 4 identities"):
        learn_partition(np.eye(5), np.arange(4) // 2, 2, InvRegSettings())


def test_features_that_are_not_finite_are_refused():
    features, identities, _ = planted(20)
    features[17, 3] = np.nan
    with pytest.raises(UserError, match="the feature of image 17 is not finite"):
        learn_partition(features, identities, 20, InvRegSettings())


def test_a_row_visited_at_every_step_sees_torchs_adam():
    start = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = start.clone(), start.clone().requires_grad_()
    row_adam, adam = RowAdam(ours), torch.optim.Adam([theirs], lr=0.5, betas=(0.0, 0.99))
    for step in range(20):
        gradient = torch.sin(torch.arange(6.0, dtype=torch.float64) + step).view(3, 2)
        theirs.grad = gradient.clone()
        adam.step()
        row_adam.step(torch.arange(3), gradient, 0.5)
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-12)


def test_a_row_does_not_notice_the_steps_it_was_not_in():
    values = torch.zeros(2, 2, dtype=torch.float64)
    optimiser = RowAdam(values)
    gradient = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    for _ in range(3):
        optimiser.step(torch.tensor([0]), gradient, 0.1)
    assert (values[1] == 0).all()
    first = values[0].clone()
    for _ in range(3):
        optimiser.step(torch.tensor([1]), gradient, 0.1)
    assert torch.equal(values[0], first)
    assert torch.equal(values[1], first)
