# SPDX-License-Identifier: MIT
"""The list of a run's figures names what exists, and nothing outside the run's folder."""

import pytest

from arcface_fair.errors import UserError
from arcface_fair.plugin.figures import list_figures, read_figures
from arcface_fair.plugin.parts import Figure, Plugin


def test_a_run_without_figures_has_no_list(tmp_path):
    list_figures(tmp_path, [Plugin("mine")])
    assert list(tmp_path.iterdir()) == []
    assert read_figures(tmp_path) == []


def test_figures_that_exist_are_read_back_one_per_file(tmp_path):
    plugin = Plugin("mine", figures=(Figure("mine/*.png", "Mine."), Figure("lost.png", "Lost.")))
    list_figures(tmp_path, [plugin])
    (tmp_path / "mine").mkdir()
    for name in "ba":
        (tmp_path / "mine" / f"{name}.png").touch()
    assert read_figures(tmp_path) == [
        Figure("mine/a.png", "Mine."), Figure("mine/b.png", "Mine."),
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/a.png", "../a.png", "mine/a.jpg"])
def test_a_figure_elsewhere_is_refused(tmp_path, path):
    with pytest.raises(UserError, match=r"'mine' names the figure '.*', expected a .png relative"):
        list_figures(tmp_path, [Plugin("mine", figures=(Figure(path, "Mine."),))])


def test_a_folder_that_is_not_there_and_a_damaged_list_are_refused(tmp_path):
    plugin = Plugin("mine", figures=(Figure("a.png", "Mine."),))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"figures.json cannot be written \(.*\); choose a folder"):
        list_figures(tmp_path / "file", [plugin])
    (tmp_path / "figures.json").write_text("{}x")
    with pytest.raises(UserError, match=r"is no list of figures .*; restore or delete the file"):
        read_figures(tmp_path)
