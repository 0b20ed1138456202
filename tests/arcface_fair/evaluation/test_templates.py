# SPDX-License-Identifier: MIT
"""Templates are pooled and searched as IJB's protocols say."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from arcface_fair.errors import UserError
from arcface_fair.evaluation.templates import (
    FPRS,
    checked_labels,
    compare_templates,
    identify,
    pool_templates,
    tpr_nearest,
)


def test_frames_are_averaged_media_summed_and_templates_normalised():
    features = np.array([[1.0, 0], [3.0, 0], [0, 5.0], [0, 7.0]])
    templates, media = [9, 9, 9, 4], [1, 1, 2, 3]
    scores = np.array([1.0, 0.5, 0.2, 0.1])
    found = pool_templates(features, templates, media, scores)
    assert found.ids.tolist() == [4, 9]
    expected = np.array([(1.0 + 1.5) / 2, 1.0])  # a video of two frames, and one image
    np.testing.assert_allclose(found.features[1], expected / np.linalg.norm(expected))
    np.testing.assert_allclose(found.features[0], [0, 1])
    np.testing.assert_allclose(compare_templates(found, [4, 9], [9, 9]), [found.features[1, 1], 1])


def test_a_medium_shared_by_two_templates_is_two_media():
    found = pool_templates(np.eye(2), [1, 2], [7, 7])
    np.testing.assert_allclose(found.features, np.eye(2))


@pytest.mark.parametrize("digits", [2, 9])
def test_the_nearest_point_is_the_one_that_arcface_torch_prints(digits):
    rng = np.random.default_rng(0)
    same = rng.random(4000) < 0.1
    scores = np.round(rng.normal(same * 0.2, 0.15), digits)
    fpr, tpr, _ = roc_curve(same, scores)
    fpr, tpr = np.flipud(fpr), np.flipud(tpr)
    for wanted in FPRS:
        _, place = min(zip(abs(fpr - wanted), range(len(fpr)), strict=True))
        assert tpr_nearest(scores, same, wanted) == tpr[place]
    assert np.isnan(tpr_nearest(scores, np.ones(4000, bool), 0.1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pool_templates(np.ones((2, 3)), [1], [1, 1]), "do not fit together"),
        (lambda: pool_templates(np.full((2, 3), np.nan), [1, 1], [1, 1]), "2 of 2 images hold NaN"),
        (
            lambda: compare_templates(pool_templates(np.eye(2), [1, 2], [1, 2]), [1, 5], [2, 1]),
            "template 5 is compared but has no image",
        ),
        (
            lambda: compare_templates(pool_templates(np.eye(2), [1, 2], [1, 2]), [1], [2, 1]),
            "1 templates cannot be paired with 2",
        ),
        (lambda: checked_labels([1, 1], 2), "expected one per comparison, of both kinds"),
        (lambda: checked_labels([1, 0], 3), "2 labels for 3 comparisons"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_figures_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    gallery, people = unit(rng.normal(size=(30, 8))), rng.permutation(100)[:30]
    asked = rng.permutation(np.concatenate([people, people, np.arange(200, 280)]))
    probes = rng.normal(size=(len(asked), 8))
    for row, person in enumerate(asked):
        if person in people:
            probes[row] += 2.5 * gallery[people.tolist().index(person)]
    probes = unit(probes)
    found = identify(gallery, people, probes, asked, block=17, fpirs=(0.1, 0.01))
    ranks, tops, own = [], [], []
    for face, person in zip(probes, asked, strict=True):
        scores = gallery @ face
        if person in people:
            mine = scores[people.tolist().index(person)]
            ranks.append(int((scores > mine).sum()))
            own.append(mine)
        else:
            tops.append(scores.max())
    limit = np.sort(tops)[::-1][8]  # 80 strangers: 8 may be found at 0.1
    assert found.ranks[5] == np.mean(np.array(ranks) < 5)
    assert found.tpir[0.1] == np.mean((np.array(ranks) == 0) & (np.array(own) > limit))
    assert np.isnan(found.tpir[0.01])
    assert (found.enrolled, found.strangers) == (60, 80)


def test_an_entry_as_similar_as_the_own_one_comes_first():
    found = identify(np.eye(2)[[0, 0]], [1, 2], np.eye(2)[:1], [1])
    assert (found.ranks[1], found.ranks[5]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("people", "asked", "message"),
    [
        ([1, 1], [1], "person 1 is enrolled 2 times"),
        ([1, 2], [3], "no probe's person is enrolled"),
        ([1], [1], "do not fit together"),
    ],
)
def test_a_gallery_that_does_not_fit_is_refused(people, asked, message):
    with pytest.raises(UserError, match=message):
        identify(np.eye(2), people, np.eye(2)[:1], asked)
