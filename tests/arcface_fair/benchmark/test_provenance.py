# SPDX-License-Identifier: MIT
"""Provenance: commit, versions and machine, also where there is no checkout."""

import subprocess

from arcface_fair.benchmark import provenance


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
