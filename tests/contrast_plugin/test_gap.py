# SPDX-License-Identifier: MIT
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from contrast_plugin import gap as module
from contrast_plugin.gap import gap_positions, image_gaps, subset_gaps


def one_by_one(embeddings, labels):
    """The equation with loops."""
    gaps = []
    for i, (row, who) in enumerate(zip(embeddings, labels, strict=True)):
        others = [e for j, e in enumerate(embeddings) if labels[j] == who and j != i]
        if not others:
            gaps.append(math.nan)
            continue
        own = torch.stack(others).mean(0)
        rivals = sorted(
            (
                float(row @ normalize(embeddings[labels == c].mean(0), dim=0))
                for c in labels.unique()
                if c != who
            ),
            reverse=True,
        )[:5]
        gaps.append(float(row @ own / own.norm()) - sum(rivals) / len(rivals))
    return torch.tensor(gaps)


@pytest.mark.parametrize("classes", [4, 9])
def test_gaps_are_those_of_the_equation(classes, monkeypatch):
    monkeypatch.setattr(module, "_ROWS", 7)  # several blocks of rows
    generator = torch.Generator().manual_seed(0)
    embeddings = normalize(torch.randn(40, 6, generator=generator))
    labels = torch.randint(1, classes, (40,), generator=generator) * 3
    labels[5] = 77  # an identity with one image
    found, _ = image_gaps(embeddings, labels)
    torch.testing.assert_close(found, one_by_one(embeddings, labels), equal_nan=True)
    assert bool(found[5].isnan())


def clustered(spread):
    """20 identities x 6 images; subset 1 holds the odd ones, whose images lie within ``spread``."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(20, 16))
    labels = np.repeat(np.arange(20), 6)
    width = np.where(labels % 2, spread, 0.5)[:, None]
    rows = centres[labels] + width * rng.normal(size=(120, 16))
    embeddings = normalize(torch.from_numpy(rows).float())
    return embeddings, torch.from_numpy(labels), (np.arange(20) % 2).astype(np.uint8)


def test_the_tighter_subset_is_the_easy_one_and_the_difference_is_of_the_means():
    embeddings, labels, subset = clustered(0.1)
    found = subset_gaps(embeddings, labels, subset)
    values = image_gaps(embeddings, labels)[0].numpy()
    means = [values[labels.numpy() % 2 == k].mean() for k in (0, 1)]
    assert found.easy == 1
    assert found.mean == pytest.approx(means, abs=1e-6)
    assert found.difference == pytest.approx(means[1] - means[0], abs=1e-6)
    by_identity = [values[labels.numpy() == i].mean() for i in range(20)]
    errors = [np.std(by_identity[k::2], ddof=1) / math.sqrt(10) for k in (0, 1)]
    assert found.error == pytest.approx(errors, abs=1e-6)
    assert found.doubt == pytest.approx(math.hypot(*errors), abs=1e-6)


def test_equal_subsets_differ_by_about_their_error():
    found = subset_gaps(*clustered(0.5))
    assert found.difference < 3 * found.doubt


def test_an_identity_without_subset_is_a_rival_but_counts_in_none():
    embeddings, labels, subset = clustered(0.1)
    subset[:4] = 255
    found = subset_gaps(embeddings, labels, subset)
    values = image_gaps(embeddings, labels)[0].numpy()
    inside = (labels.numpy() >= 4) & (labels.numpy() % 2 == 0)
    assert found.mean[0] == pytest.approx(values[inside].mean(), abs=1e-6)


def test_a_single_subset_or_a_single_identity_gives_no_gaps():
    embeddings, labels, subset = clustered(0.1)
    assert subset_gaps(embeddings, labels, np.zeros(20, np.uint8)) is None
    assert subset_gaps(embeddings, torch.zeros_like(labels), subset) is None


def test_a_subset_of_which_nothing_was_seen_is_unknown():
    embeddings, labels, subset = clustered(0.1)
    found = subset_gaps(embeddings, labels, np.append(subset, 2).astype(np.uint8))
    assert math.isnan(found.mean[2])
    assert found.easy == 1


def test_all_images_are_embedded_where_there_are_few_identities():
    identities = np.repeat(np.arange(10), 3)
    chosen = gap_positions(identities, np.zeros(10, np.uint8), 10, np.random.default_rng(0))
    assert chosen.tolist() == list(range(30))


def test_many_identities_are_drawn_alike_from_every_subset_with_at_most_eight_images():
    identities = np.random.default_rng(1).permutation(np.repeat(np.arange(100), 12))
    subset = (np.arange(100) < 20).astype(np.uint8)  # 80 and 20 identities
    subset[-1] = 255
    chosen = gap_positions(identities, subset, 30, np.random.default_rng(0))
    people, counts = np.unique(identities[chosen], return_counts=True)
    assert (counts == 8).all()
    assert np.bincount(subset[people]).tolist() == [15, 15]
    assert (np.diff(chosen) > 0).all()


def test_an_identity_with_one_image_is_not_embedded():
    identities = np.array([0, 0, 1, 2, 2])
    chosen = gap_positions(identities, np.zeros(3, np.uint8), 10, np.random.default_rng(0))
    assert chosen.tolist() == [0, 1, 3, 4]
