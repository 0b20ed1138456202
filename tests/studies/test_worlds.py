# SPDX-License-Identifier: MIT
"""Worlds: drawn once, whoever asks, and told apart by what was drawn."""

import threading
from dataclasses import replace

from drawn_faces import WORLDS, World
from studies import worlds
from studies.worlds import drawn, fingerprint, sample

WORLD = World(identities=12, images=1)


def test_a_world_is_drawn_once_however_many_ask(tmp_path, monkeypatch):
    calls = []
    real = worlds.write_world

    def counted(*args, **settings):
        calls.append(args)
        return real(*args, **settings)

    monkeypatch.setattr(worlds, "write_world", counted)
    threads = [threading.Thread(target=drawn, args=(WORLD, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert (drawn(WORLD, tmp_path) / "train.rec").is_file()


def test_other_settings_and_other_code_lie_elsewhere(tmp_path, monkeypatch):
    here = drawn(WORLD, tmp_path)
    assert drawn(replace(WORLD, seed=1), tmp_path) != here
    assert drawn(replace(WORLD, split="test"), tmp_path) != here
    monkeypatch.setattr(worlds, "_code", lambda: "other")
    other = drawn(WORLD, tmp_path)
    assert other != here
    assert fingerprint(other) == fingerprint(here)


def test_fingerprint_is_of_the_pictures(tmp_path):
    a, b = drawn(WORLD, tmp_path), drawn(replace(WORLD, seed=1), tmp_path)
    assert fingerprint(a) != fingerprint(b)


def test_sample_tells_how_a_world_is_drawn_whatever_its_seed():
    samples = {name: sample(world) for name, world in WORLDS.items()}
    assert samples["confounded"] == sample(replace(WORLDS["confounded"], seed=9))
    assert len({samples[name] for name in ("confounded", "control", "alike", "makeup")}) == 4
