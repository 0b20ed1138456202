# SPDX-License-Identifier: MIT
"""How a report was made can be read from it."""

from arcface_fair.cli._facts import figures_of_runs, run_facts


def test_command_time_versions_and_sets_are_facts(monkeypatch):
    monkeypatch.setattr("sys.argv", ["arcface-fair", "evaluate", "a model"])
    facts = run_facts({"north": "north.bin, SHA-256 00"})
    assert facts["command"] == "arcface-fair evaluate 'a model'"
    assert "numpy " in facts["versions"]
    assert facts["made"].endswith(" UTC")
    assert facts["set north"] == "north.bin, SHA-256 00"


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


def test_pictures_of_a_runs_plugins_are_in_the_report_and_those_of_no_run_are_not(tmp_path):
    (tmp_path / "guest").mkdir()
    (tmp_path / "guest" / "one.png").write_bytes(b"png")
    assert figures_of_runs([str(tmp_path)]) == ()
    (tmp_path / "config.json").write_text("{}")
    assert figures_of_runs([str(tmp_path)]) == ((f"{tmp_path.name}, guest: one", b"png"),)
