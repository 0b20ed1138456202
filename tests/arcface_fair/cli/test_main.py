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


class Announced:
    def __init__(self, value):
        self.value = value


@pytest.fixture
def announce(monkeypatch, tmp_path):
    """Announces modules as installed packages do; a package ``mine`` offers the command greet."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("raise AssertionError('imported for its help')")
    (tmp_path / "mine" / "greet.py").write_text('HELP = "say hello"\n')
    (tmp_path / "mine" / "train.py").write_text('HELP = "train otherwise"\n')
    (tmp_path / "mine" / "mute.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return lambda *values: monkeypatch.setattr(
        cli, "entry_points", lambda group: [Announced(value) for value in values]
    )


def test_a_command_of_another_package_is_listed_without_importing_it(announce):
    announce("mine.greet")
    assert cli.commands()["greet"] == "say hello"
    assert "demo" not in cli.commands()


@pytest.mark.parametrize("module", ["gone.hello", "mine.hello", "mine.mute"])
def test_a_broken_command_is_one_sentence_and_the_others_go_on(announce, capsys, module):
    announce(module)
    name = module.partition(".")[2]
    assert cli.main([name]) == 2
    assert capsys.readouterr().err == (
        f"arcface-fair: the command {name!r} is announced as {module}, expected a module with a "
        "line HELP = ...; reinstall its package, or uninstall it\n"
    )
    with pytest.raises(SystemExit) as ended:
        cli.main(["reshard", "--help"])
    assert ended.value.code == 0


def test_two_modules_of_one_command_are_refused(announce, capsys):
    announce("mine.train")
    assert cli.main(["train", "x"]) == 2
    assert capsys.readouterr().err == (
        "arcface-fair: arcface_fair.cli.train and mine.train both offer the command 'train', "
        "expected one of them; uninstall the package that you do not need\n"
    )
