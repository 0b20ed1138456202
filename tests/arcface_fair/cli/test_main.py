# SPDX-License-Identifier: MIT
import importlib
import json

import pytest

from arcface_fair import cli


def test_every_command_lists_itself_with_one_line_of_help(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    commands = cli.commands()
    # The last two are another package's, announced by entry points.
    assert {"train", "evaluate", "export", "demo", "synthesize"} <= set(commands)
    for name, line in commands.items():
        assert name in listed
        assert line
        assert "\n" not in line
        where = "drawn_faces.commands" if name in ("demo", "synthesize") else "arcface_fair.cli"
        assert line == importlib.import_module(f"{where}.{name.replace('-', '_')}").HELP


def test_the_command_line_starts_without_torch():
    import subprocess
    import sys

    code = (
        "import sys; from arcface_fair import cli; cli.build_parser(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_command_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["nothing"])
    assert ended.value.code == 2
    assert "invalid choice: 'nothing'" in capsys.readouterr().err


def test_a_sentence_reaches_the_error_file_of_torchrun(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    assert cli.main(["train", str(tmp_path / "none.py")]) == 2
    sentence = capsys.readouterr().err.removeprefix("arcface-fair: ").strip()
    assert sentence in json.loads((tmp_path / "error.json").read_text())["message"]["message"]


@pytest.mark.parametrize("code", [0, 2])
def test_a_rank_of_several_skips_pythons_finalisation(monkeypatch, code):
    steps = []
    monkeypatch.setattr(cli.os, "_exit", lambda code: steps.append(code))
    monkeypatch.setattr(cli.atexit, "_run_exitfuncs", lambda: steps.append("atexit"))
    for ranks, expected in (("1", []), ("2", ["atexit", code])):
        monkeypatch.setenv("WORLD_SIZE", ranks)
        with pytest.raises(SystemExit) as ended:  # our stand-in for _exit returns
            cli.leave(code)
        assert (ended.value.code, steps) == (code, expected)
