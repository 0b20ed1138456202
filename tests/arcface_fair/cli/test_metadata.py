# SPDX-License-Identifier: MIT
"""How a report was made can be read from it."""

from arcface_fair.cli.evaluate import figures_of_runs, run_metadata
from arcface_fair.plugin.figures import list_figures
from arcface_fair.plugin.parts import Figure, Plugin


def test_command_time_versions_and_sets_are_facts(monkeypatch):
    monkeypatch.setattr("sys.argv", ["arcface-fair", "evaluate", "a model"])
    metadata = run_metadata({"north": "north.bin, SHA-256 00"})
    assert metadata["command"] == "arcface-fair evaluate 'a model'"
    assert "numpy " in metadata["versions"]
    assert metadata["made"].endswith(" UTC")
    assert metadata["set north"] == "north.bin, SHA-256 00"


def test_pictures_of_maps_and_partitions_are_found_beside_folder_or_file(tmp_path):
    for name in ("maps", "partitions"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "one.png").write_bytes(name.encode())
    (tmp_path / "model.pt").write_bytes(b"")
    found = figures_of_runs([str(tmp_path)])
    assert [data for _, data in found] == [b"maps", b"partitions"]
    assert found[0][0] == f"{tmp_path.name}, attention maps: one"
    assert figures_of_runs([str(tmp_path / "model.pt")]) == found
    assert figures_of_runs([str(tmp_path / "maps")]) == ()


def test_a_picture_that_a_plugin_named_is_in_the_report_with_its_caption(tmp_path):
    figure = Figure("mine/epoch_*.png", "What is mine at an epoch's end.")
    list_figures(tmp_path, [Plugin("mine", figures=(figure,))])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "epoch_1.png").write_bytes(b"png")
    (tmp_path / "mine" / "unnamed.png").write_bytes(b"other")
    assert figures_of_runs([str(tmp_path)]) == (
        (f"{tmp_path.name}, What is mine at an epoch's end.", b"png"),
    )
