# SPDX-License-Identifier: MIT
"""TPR at FPR over all pairs equals brute force with scikit-learn, ties and tiles included."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from arcface_fair.errors import UserError
from arcface_fair.evaluation.all_pairs import ALL, all_pairs, intersections

FPRS = (1e-3, 1e-2, 0.3)


def faces(seed=0, images=240, people=50, size=16, noise=1.0):
    rng = np.random.default_rng(seed)
    who = rng.integers(0, people, images)
    rows = rng.normal(size=(people, size))[who] + noise * rng.normal(size=(images, size))
    return rows.astype(np.float32), who, np.array(["north", "south", ""])[who % 3]


def brute(rows, who, fpr):
    """TPR, impostors accepted and the highest refused one, by scikit-learn over all pairs."""
    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    a, b = np.triu_indices(len(unit), 1)
    scores, same = np.einsum("ij,ij->i", unit[a], unit[b]), who[a] == who[b]
    rates, tpr, limits = roc_curve(same, scores, drop_intermediate=False)
    last = np.flatnonzero(rates <= fpr + 1e-12)[-1]
    return tpr[last], int(((scores >= limits[last]) & ~same).sum()), (~same).sum()


def check(rows, who, groups, **options):
    found = all_pairs(rows, who, groups, FPRS, resamples=0, **options)
    for scope in found.scopes:
        inside = np.ones(len(who), bool) if scope.name == ALL else groups == scope.name
        for rate in scope.rates:
            tpr, accepted, impostors = brute(rows[inside], who[inside], rate.fpr)
            assert rate.tpr.value == pytest.approx(tpr, abs=1e-12)
            assert rate.accepted == accepted
            assert scope.impostor == impostors
    return found


@pytest.mark.parametrize("tile", [17, 2048])
def test_every_scope_equals_brute_force(tile):
    found = check(*faces(), tile=tile)
    assert [scope.name for scope in found.scopes] == [ALL, "north", "south"]


def test_torch_gives_the_figures_of_numpy():
    check(*faces(seed=3), tile=64, device="cpu")


def test_ties_are_refused_together_as_in_scikit_learn():
    rng = np.random.default_rng(1)
    rows = rng.choice([-1.0, 1.0], (150, 16)).astype(np.float32)  # cosines are multiples of 1/8
    who = rng.integers(0, 40, 150)
    check(rows, who, np.array(["a", "b"])[who % 2], tile=32)


def test_duplicated_images_stand_in_many_tiles_and_still_tie():
    rows, who, groups = faces(seed=2)
    rows[::7] = rows[3]
    check(rows, who, groups, tile=13)


def test_a_collapsed_model_accepts_nobody():
    rows, who, groups = faces()
    rows[:] = rows[0]
    found = check(rows, who, groups, tile=64)
    assert {rate.tpr.value for scope in found.scopes for rate in scope.rates} == {0.0}
    assert "pairs of different people have the same embedding" in found.notes[0]


def test_an_image_under_two_names_is_counted():
    rows, who, groups = faces()
    place = int(np.flatnonzero(who != who[0])[0])
    rows[place] = rows[0]
    assert all_pairs(rows, who, groups, (0.1,), resamples=0).notes == (
        "1 pairs of different people have the same embedding: an image under two names, or a "
        "model that has collapsed",
    )


def test_norms_do_not_matter():
    rows, who, groups = faces()
    scale = np.random.default_rng(5).uniform(0.1, 50, (len(rows), 1)).astype(np.float32)
    plain, scaled = (all_pairs(r, who, groups, FPRS, resamples=0) for r in (rows, rows * scale))
    for a, b in zip(plain.scopes, scaled.scopes, strict=True):
        assert [r.tpr.value for r in a.rates] == [r.tpr.value for r in b.rates]


def test_too_few_impostors_give_words_and_no_number():
    rows, who, groups = faces(images=30)
    found = all_pairs(rows, who, groups, (1e-6, 0.1), resamples=0)
    rate = found.scopes[0].rates[0]
    assert np.isnan(rate.tpr.value)
    assert rate.note.startswith("too few impostors for this FPR: ")
    assert (
        "impostor pairs decide the threshold"
        in all_pairs(rows, who, None, (1e-2,), resamples=0).scopes[0].rates[0].note
    )


def test_a_group_without_genuine_pairs_is_named():
    rows, _, _ = faces(images=30)
    found = all_pairs(rows, np.arange(30), None, (0.1,), resamples=0)
    assert found.scopes[0].rates[0].note == "no genuine pairs"


def test_a_group_of_one_person_has_no_impostors():
    rows, who, _ = faces(images=30)
    groups = ["alone" if person == who[0] else "rest" for person in who]
    scope = all_pairs(rows, who, groups, (0.1,), resamples=0).scopes[1]
    assert (scope.name, scope.impostor) == ("alone", 0) or scope.name == "rest"
    by_name = {s.name: s for s in all_pairs(rows, who, groups, (0.1,), resamples=0).scopes}
    assert by_name["alone"].impostor == 0
    assert np.isnan(by_name["alone"].rates[0].tpr.value)


def test_zero_embeddings_are_said():
    rows, who, groups = faces()
    rows[4] = 0
    assert all_pairs(rows, who, groups, (0.1,), resamples=0).notes == (
        "1 of 240 embeddings are zero; their similarity to everybody is 0",
    )


def test_intervals_hold_the_figure_and_the_curve_rises():
    rows, who, groups = faces()
    scope = all_pairs(rows, who, groups, (1e-2,), resamples=40).scopes[0]
    tpr = scope.rates[0].tpr
    assert 0 <= tpr.low < tpr.value < tpr.high <= 1
    assert (np.diff(scope.curve[0]) > 0).all()
    assert (np.diff(scope.curve[1]) >= 0).all()


def test_every_pair_is_reported_as_progress():
    rows, who, groups = faces()
    done = []
    all_pairs(rows, who, groups, (0.1,), tile=50, resamples=0, on_pairs=done.append)
    assert sum(done) == 240 * 239 // 2


def test_intersections_are_words_for_several_attributes():
    assert intersections(["african", "asian", ""], ["female", "male", "male"]) == [
        "african x female",
        "asian x male",
        "",
    ]
    with pytest.raises(UserError, match="give one word per image"):
        intersections(["a"], ["b", "c"])


def test_embeddings_that_are_not_finite_are_refused():
    rows, who, groups = faces()
    rows[3, 0] = np.nan
    with pytest.raises(UserError, match="1 of 240 embeddings hold NaN or infinity"):
        all_pairs(rows, who, groups)


def test_a_group_cannot_be_named_like_the_whole():
    rows, who, _ = faces(images=30)
    with pytest.raises(UserError, match="a group is named 'all'"):
        all_pairs(rows, who, [ALL] * 30)
