# SPDX-License-Identifier: MIT
"""Install, check and undo over every version of arcface_torch since July 2022."""

import pytest

from arcface_fair.cli._patching import installer
from arcface_fair.config import shipped_configs
from tests.patches.checkout import checkout, git, version, versions
from tests.patches.hosts import install, losses
from tests.small_data import write_small_record

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


def test_the_oldest_version_trains_and_resumes(tmp_path):
    home = install(version(versions()[-1], tmp_path / "old"))
    record = write_small_record(tmp_path / "record")
    config = {
        "rec": str(record), "output": str(tmp_path / "run"), "network": "small", "lr": 0.02,
        "embedding_size": 16, "batch_size": 8, "num_epoch": 2, "num_workers": 1, "frequent": 1,
        "save_all_states": True, "checkpoint_steps": 4, "plugins": ["invreg_plugin"],
        "invreg": {"stages": (0,), "weight": 0.1},
    }  # fmt: skip
    whole = losses(home, config, tmp_path / "a")
    assert [step for step, _ in whole] == list(range(1, 13))
    again = {**config, "output": str(tmp_path / "again")}
    losses(home, again, tmp_path / "b", kill_at=10)
    assert losses(home, {**again, "resume": True}, tmp_path / "c") == whole[8:]
