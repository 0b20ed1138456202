# SPDX-License-Identifier: MIT
"""Protocol: all genuine pairs, impostors of one group and gender, both kinds weighing alike."""

import numpy as np
import pytest

from arcface_fair.evaluation import ten_fold_of_distances
from arcface_fair.evaluation.verification import FOLDS, fold_of_pair
from drawn_faces import World
from drawn_faces.traits import draw_person, groups_of
from studies import protocol

WORLD = World(seed=5).held_out("test", 20, 4)
IDENTITIES = np.repeat(np.arange(WORLD.identities), 4)


@pytest.fixture(scope="module")
def groups():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((WORLD.identities, 16))
    embeddings = centres[IDENTITIES] + 0.8 * rng.standard_normal((len(IDENTITIES), 16))
    return protocol.compare(WORLD, protocol.unit_halves(embeddings), IDENTITIES)


def test_every_genuine_pair_is_there_once(groups):
    assert list(groups) == list(WORLD.group_names)
    for group in groups.values():
        assert group.same.sum() == 20 * 6


def test_impostors_are_of_one_group_and_gender(groups):
    genders = np.array([draw_person(WORLD, i).gender for i in range(WORLD.identities)])
    for place, group in enumerate(groups.values()):
        people = group.people[~group.same]
        assert (genders[people[:, 0]] == genders[people[:, 1]]).all()
        assert (groups_of(WORLD)[group.people] == place).all()


def test_impostors_are_at_most_so_many(monkeypatch):
    monkeypatch.setitem(protocol.PROTOCOL, "impostors", 30)
    found = protocol.compare(WORLD, np.eye(len(IDENTITIES)), IDENTITIES)
    assert {int((~group.same).sum()) for group in found.values()} == {30}


def test_every_fold_has_its_tenth_of_either_kind(groups):
    for group in groups.values():
        fold = fold_of_pair(len(group.same))
        for kind in (group.same, ~group.same):
            counts = np.bincount(fold[kind], minlength=FOLDS)
            assert np.abs(counts - kind.sum() / FOLDS).max() < 2


def test_both_kinds_weigh_alike(groups):
    for name, weights in protocol.balance(groups).items():
        same = groups[name].same
        assert weights[0, same].sum() == pytest.approx(weights[0, ~same].sum())


def test_a_network_that_says_nothing_is_right_half_of_the_time():
    blind = protocol.compare(WORLD, np.ones((len(IDENTITIES), 4)), IDENTITIES)
    measured = protocol.judged(blind)
    assert measured["mean"] == pytest.approx(0.5, abs=0.02)
    unbalanced = [ten_fold_of_distances(g.distances, g.same).accuracy for g in blind.values()]
    assert np.mean(unbalanced) > 0.55


def test_perfect_network_has_no_errors_and_json_no_infinity():
    perfect = protocol.compare(WORLD, np.eye(WORLD.identities)[IDENTITIES], IDENTITIES)
    measured = protocol.judged(perfect)
    assert (measured["mean"], measured["worst"], measured["std_ddof0"]) == (1.0, 1.0, 0.0)
    assert measured["ser"] == 1.0
    assert measured["worst_tpr"] is None or measured["worst_tpr"] == 1.0


def test_figures_follow_from_the_groups(groups):
    measured = protocol.judged(groups)
    accuracies = np.array([each["accuracy"] for each in measured["groups"].values()])
    assert measured["mean"] == pytest.approx(accuracies.mean())
    assert measured["worst"] == pytest.approx(accuracies.min())
    assert measured["std_ddof0"] == pytest.approx(accuracies.std())
    assert measured["std_ddof1"] == pytest.approx(accuracies.std(ddof=1))
    assert measured["ser"] == pytest.approx((1 - accuracies).max() / (1 - accuracies).min())


def test_pairs_are_the_same_for_every_network(groups):
    again = protocol.compare(WORLD, np.eye(len(IDENTITIES)), IDENTITIES)
    for name, group in groups.items():
        assert np.array_equal(group.people, again[name].people)


def test_stored_embeddings_have_unit_length_and_zero_stays_zero():
    stored = protocol.unit_halves(np.array([[3.0, 4.0], [0.0, 0.0]]))
    assert stored.dtype == np.float16
    assert stored.tolist() == [[np.float16(0.6), np.float16(0.8)], [0.0, 0.0]]
