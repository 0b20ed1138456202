# SPDX-License-Identifier: MIT
"""Resampled: intervals over people are paired, and as wide as people differ."""

import numpy as np
import pytest

from arcface_fair.errors import UserError
from drawn_faces import World
from studies import protocol
from studies.folder import Folder, write_json
from studies.job import specification
from studies.resampled import add_bootstrap, averaged, resample_groups
from studies.results import gather
from tests.benchmark_stubs import put, run_of

WORLD = World(seed=10).held_out("test", 12, 4)
IDENTITIES = np.repeat(np.arange(WORLD.identities), 4)


ROWS = ("arcface", "invreg", "invreg_random", "not_run")


def embeddings(noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((WORLD.identities, 32))
    rows = centres[IDENTITIES] + noise * rng.standard_normal((len(IDENTITIES), 32))
    return protocol.unit_halves(rows)


def groups(noise: float):
    return protocol.compare(WORLD, embeddings(noise), IDENTITIES)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """ArcFace and two rows at seed 10: one better, one the very same network."""
    folder = Folder(tmp_path / "b")
    for name, noise in (("arcface", 1.6), ("invreg", 0.9), ("invreg_random", 0.9)):
        put(folder, name, (10,))
        run = run_of(name, 10)
        from dataclasses import asdict

        told = {**specification(run), "held_out": asdict(WORLD)}
        write_json(folder.kept(run.key) / "told.json", told)
        place = folder.embeddings(run.key)
        place.parent.mkdir(exist_ok=True)
        np.savez(place, embeddings=embeddings(noise), identities=IDENTITIES)
    return folder


def test_better_network_is_better_with_its_whole_interval(folder):
    results = gather(folder)
    heard = []
    add_bootstrap(results, folder, "test", 60, ROWS, heard.append)
    found = results.content["bootstrap"]["test"]
    value, low, high = found["rows"]["invreg"]["arcface"]["mean"]
    assert found["resamples"] == 60
    assert 0 < low < value < high
    assert heard == list(ROWS)


def test_value_is_the_difference_that_was_measured(folder):
    results = gather(folder)
    add_bootstrap(results, folder, "test", 4, ROWS)
    value = results.content["bootstrap"]["test"]["rows"]["invreg"]["arcface"]["worst"][0]
    expected = protocol.judged(groups(0.9))["worst"] - protocol.judged(groups(1.6))["worst"]
    assert value == pytest.approx(expected)


def test_network_against_itself_is_exactly_nothing(folder):
    results = gather(folder)
    add_bootstrap(results, folder, "test", 20, ROWS)
    assert results.content["bootstrap"]["test"]["rows"]["invreg"]["invreg_random"]["mean"] == [
        0.0, 0.0, 0.0,
    ]  # fmt: skip


def test_rows_without_embeddings_are_left_out(folder):
    folder.embeddings(run_of("invreg", 10).key).unlink()
    results = gather(folder)
    add_bootstrap(results, folder, "test", 4, ROWS)
    assert list(results.content["bootstrap"]["test"]["rows"]) == ["invreg_random"]


def test_mean_over_seeds_is_narrower_than_one_seed():
    parts = [resample_groups(groups(1.3), 200, seed) for seed in range(4)]
    one, four = parts[0].people["mean"].std(), averaged(parts).people["mean"].std()
    assert 0.3 < four / one < 0.75


def test_same_seed_draws_the_same_people():
    a, b = (resample_groups(groups(1.3), 10, 7) for _ in range(2))
    assert np.array_equal(a.people["mean"], b.people["mean"])


def test_too_few_resamples_are_refused(folder):
    with pytest.raises(UserError, match=r"--bootstrap is 1; at least 2 resamples are needed"):
        add_bootstrap(gather(folder), folder, "test", 1, ROWS)


def test_rows_not_asked_for_keep_what_was_computed_before(folder):
    results = gather(folder)
    add_bootstrap(results, folder, "test", 4, ["invreg"])
    add_bootstrap(results, folder, "test", 4, ["invreg_random"])
    assert set(results.content["bootstrap"]["test"]["rows"]) == {"invreg", "invreg_random"}
