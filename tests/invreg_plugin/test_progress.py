# SPDX-License-Identifier: MIT
import pytest

from invreg_plugin.progress import stage_bar


def test_the_bar_shows_steps_and_objective(capsys):
    with stage_bar("partition 2") as show:
        show(20, 40, 1.25)
        show(40, 40, 1.5)
    shown = capsys.readouterr().err
    assert "partition 2" in shown
    assert "objective 1.5000" in shown


def test_the_bar_ends_with_an_error_too(capsys):
    with pytest.raises(ValueError, match="stop"), stage_bar("partition 1"):
        raise ValueError("stop")
    assert capsys.readouterr().err.endswith("\r")
