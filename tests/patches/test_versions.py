# SPDX-License-Identifier: MIT
"""Install, check and undo over every version of arcface_torch since July 2022."""

import pytest

from arcface_fair.cli._patching import installer
from arcface_fair.config import shipped_configs
from tests.patches.checkout import checkout, git, version, versions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def test_every_version_since_july_2022_installs_checks_and_undoes(tmp_path, capsys):
    checkout()
    tools = installer()
    rows, failures = [], []
    for commit in versions():
        home = version(commit, tmp_path / commit)
        date = git(checkout(), "show", "-s", "--format=%as", commit)
        try:
            tools.apply(tools.make_plan(home, tools.chosen(), shipped_configs()))
            assert tools.status(home)[0], tools.status(home)[1]
            for path in home.glob("*.py"):
                compile(path.read_bytes(), str(path), "exec")
            assert tools.undo(home) == []
            assert git(home, "status", "--short") == ""
            rows.append(f"{commit} {date} installed checked undone")
        except Exception as error:
            failures.append(f"{commit} {date} {error}")
    with capsys.disabled():
        print("\n" + "\n".join([*rows, *failures]))
    assert len(rows) >= 7
    assert not failures
