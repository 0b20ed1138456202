# SPDX-License-Identifier: MIT
"""Provenance: commit, versions and machine, also where there is no checkout."""

import shutil
import subprocess
import sys
from pathlib import Path

from studies import provenance

ROOT = Path(__file__).parents[2]


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


def test_a_repository_around_the_environment_is_not_ours(tmp_path, monkeypatch):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    installed = tmp_path / "env" / "site-packages"
    installed.mkdir(parents=True)
    monkeypatch.setattr(provenance, "CHECKOUT", installed)
    assert not provenance.in_our_checkout()
    monkeypatch.setattr(provenance, "CHECKOUT", tmp_path.resolve())
    assert provenance.in_our_checkout()


def mark_of(*folders):
    """The mark that a process computes which finds the packages in ``folders`` alone."""
    code = (
        f"import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}; "
        "from studies.provenance import training_code; print(training_code())"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_training_code_has_one_mark_in_a_checkout_and_installed(tmp_path):
    skip = shutil.ignore_patterns("__pycache__")
    for name in provenance.PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skip)
    shutil.copytree(ROOT / "configs", tmp_path / "arcface_fair" / "_configs", ignore=skip)
    shutil.copytree(ROOT / "patches", tmp_path / "arcface_fair" / "_patches", ignore=skip)
    here = mark_of(ROOT)
    assert mark_of(tmp_path, ROOT) == here
    (tmp_path / "arcface_fair" / "cli" / "train.py").write_text("changed = True")
    assert mark_of(tmp_path, ROOT) == here
    with (tmp_path / "arcface_fair" / "head" / "margin.py").open("a") as file:
        file.write("# changed\n")
    assert mark_of(tmp_path, ROOT) != here
