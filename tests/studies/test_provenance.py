# SPDX-License-Identifier: MIT
"""Provenance: commit, versions and machine, also where there is no checkout."""

import subprocess

from studies import provenance


def test_versions_and_machine_are_named():
    found = provenance.made()
    assert {"arcface-fair", "python", "torch", "numpy", "scipy", "opencv"} == set(found["versions"])
    assert found["machine"]["cores"] >= 1
    assert found["date"].endswith("+00:00")


def test_outside_a_checkout_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path)
    found = provenance.made()
    assert found["commit"] is None
    assert found["dirty"] is False


def test_machine_without_git_has_no_commit(monkeypatch):
    def missing(*args, **settings):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert provenance.made()["commit"] is None


def test_package_that_is_not_installed_has_no_version():
    assert provenance._version("no-such-distribution") is None


def test_training_code_is_told_apart(tmp_path, monkeypatch):
    found = []
    for text in ("x = 1", "x = 2"):
        root = tmp_path / text
        for name in ("arcface_fair/head/loss.py", "arcface_fair/cli/demo.py", "gabn_plugin/a.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text if "loss" in name else "y = 0")
        monkeypatch.setattr(provenance, "CHECKOUT", root)
        provenance.training_code.cache_clear()
        found.append(provenance.training_code())
        (root / "arcface_fair/cli/demo.py").write_text("changed = True")
        provenance.training_code.cache_clear()
        assert provenance.training_code() == found[-1]
    provenance.training_code.cache_clear()
    assert found[0] != found[1]
