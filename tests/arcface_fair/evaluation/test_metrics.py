# SPDX-License-Identifier: MIT
"""Figures of all groups agree with the table, with scikit-learn and fairlearn, and know limits."""

import statistics

import numpy as np
import pytest
from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate

from arcface_fair.errors import UserError
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.metrics import (
    METRICS,
    Protocol,
    explain_too_few,
    measure,
    metrics_of,
)
from arcface_fair.evaluation.verification import ten_fold_of_distances, too_few, tpr_at_fpr
from tests.arcface_fair.evaluation.drawn import draw

GROUPS = {"a": draw(0), "b": draw(1, shift=0.2), "c": draw(2, shift=0.1)}


def test_accuracy_and_spread_are_those_of_the_groups_by_themselves():
    found = measure(GROUPS, Protocol((0.05,)))
    accuracies = [ten_fold_of_distances(g.distances, g.same).accuracy for g in GROUPS.values()]
    tprs = [tpr_at_fpr(g.distances, g.same, 0.05) for g in GROUPS.values()]
    assert [found[f"accuracy/{name}"][0] for name in GROUPS] == accuracies
    assert [found[f"tpr@0.05/{name}"][0] for name in GROUPS] == tprs
    assert found["mean accuracy"][0] == pytest.approx(statistics.fmean(accuracies))
    assert found["worst accuracy"][0] == min(accuracies)
    assert found["STD n"][0] == pytest.approx(statistics.pstdev(accuracies))
    assert found["STD n-1"][0] == pytest.approx(statistics.stdev(accuracies))
    errors = [1 - accuracy for accuracy in accuracies]
    assert found["SER"][0] == pytest.approx(max(errors) / min(errors))
    assert found["worst tpr@0.05"][0] == min(tprs)


def test_rates_at_the_one_threshold_are_those_of_fairlearn():
    found = measure(GROUPS, Protocol(fmr=0.05))
    threshold = found["threshold"][0]
    same = np.concatenate([g.same for g in GROUPS.values()])
    scores = np.concatenate([g.scores for g in GROUPS.values()])
    names = np.repeat(list(GROUPS), [len(g.same) for g in GROUPS.values()])
    frame = MetricFrame(
        metrics={"fmr": false_positive_rate, "fnmr": false_negative_rate},
        y_true=same.astype(int),
        y_pred=(scores > threshold + 1e-12).astype(int),
        sensitive_features=names,
    )
    for name in GROUPS:
        assert found[f"fmr/{name}"][0] == pytest.approx(frame.by_group.fmr[name])
        assert found[f"fnmr/{name}"][0] == pytest.approx(frame.by_group.fnmr[name])
    assert found["FMR max/min"][0] == pytest.approx(1 / frame.ratio().fmr)
    assert frame.overall.fmr <= 0.05


def test_intersections_are_groups_like_any_other():
    crossed = {f"{name} x {half}": part for name, g in GROUPS.items() for half, part in (
        ("young", Comparisons(g.distances[::2], g.same[::2])),
        ("old", Comparisons(g.distances[1::2], g.same[1::2])),
    )}  # fmt: skip
    found = measure(crossed)
    assert len([name for name in found if name.startswith("accuracy/")]) == 6


def test_what_the_data_cannot_resolve_is_not_a_number():
    found = measure(GROUPS, Protocol((1e-4,), 1e-4))
    assert np.isnan(found["tpr@0.0001/a"][0])
    assert np.isnan(found["mean tpr@0.0001"][0])
    assert np.isnan(found["fmr/a"][0])
    assert np.isnan(found["GARBE"][0])
    assert too_few(240, 1e-4)
    assert not too_few(10_000, 1e-4)
    assert explain_too_few(240, 1e-4) == (
        "too few impostors for this FPR: 240 pairs, 0.0001 needs at least 10000"
    )


def test_one_group_has_rates_but_no_spread():
    found = measure({"a": GROUPS["a"]}, Protocol(fmr=0.05))
    assert np.isfinite(found["fmr/a"][0])
    for name in ("STD n", "STD n-1", "SER", "FMR max/min", "FDR", "GARBE", "inequity rate"):
        assert np.isnan(found[name][0])


def test_a_model_without_errors_has_equal_error_ratio():
    perfect = Comparisons(np.tile([0.1, 2.0], 50), np.tile([True, False], 50))
    assert measure({"a": perfect, "b": perfect})["SER"][0] == 1


def test_every_metric_has_its_direction_and_its_domain():
    protocol = Protocol((0.05, 0.1), 0.05)
    metrics, values = metrics_of(GROUPS, protocol), measure(GROUPS, protocol)
    assert set(metrics) == set(values)
    for key, metric in metrics.items():
        assert metric.key == key
        assert metric.direction in (-1, 0, 1)
        assert metric.domain[0] <= values[key][0] <= metric.domain[1]
    assert metrics["fnmr/a"].direction == -1
    assert (metrics["tpr@0.05/b"].name, metrics["tpr@0.05/b"].group) == ("tpr@0.05", "b")
    assert metrics["worst tpr@0.1"].title == "worst TPR at FPR 0.1"
    percent = ("accuracy/a", "STD n", "mean tpr@0.1", "fmr/a")
    assert {metrics[key].unit for key in percent} == {"percent"}
    assert "percent" not in {METRICS[key].unit for key in ("SER", "GARBE", "threshold", "FDR")}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: measure({}), "there is no group to judge"),
        (lambda: Protocol((0.0,)), "a false positive rate is 0"),
        (lambda: Protocol(fmr=1.0), "a false positive rate is 1"),
        (lambda: Protocol(alpha=2), "alpha is 2; it must lie in"),
    ],
)
def test_mistakes_are_one_sentence(make, message):
    with pytest.raises(UserError, match=message):
        make()
