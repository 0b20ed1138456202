# SPDX-License-Identifier: MIT
"""The command ``arcface-fair install``: all files or none, and everything can be taken back."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path

import pytest

from arcface_fair.cli import main
from arcface_fair.cli._patching import installer
from tests.patches.hosts import MINIATURE, NOT_IN_MINIATURE, miniature

LEFT_OUT = [word for name in NOT_IN_MINIATURE for word in ("--without", name)]


@pytest.fixture
def home(tmp_path):
    return miniature(tmp_path / "insightface" / "recognition" / "arcface_torch")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    }


def command(capsys, *arguments: object) -> tuple[int, str]:
    code = main(["install", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_install_from_the_repositorys_root_check_and_undo(home, capsys):
    before, root = snapshot(home), home.parents[1]
    os.chmod(home / "train_v2.py", 0o755)
    code, said = command(capsys, root, *LEFT_OUT)
    assert code == 0
    assert "installed hooks, resume, group, device, records" in said
    assert "wrote configs/orl_invreg.py" in said
    assert "bridge.configure(cfg)" in (home / "train_v2.py").read_text()
    assert (home / "train_v2.py").stat().st_mode & 0o777 == 0o755
    assert (home / "configs/base.py").read_bytes() == (MINIATURE / "configs/base.py").read_bytes()
    assert command(capsys, home, "--check")[0] == 0
    code, said = command(capsys, home, "--undo")
    assert (code, said) == (0, f"{home}: every file is as it was before the install\n")
    assert snapshot(home) == before


def test_a_second_install_changes_nothing(home, capsys):
    command(capsys, home, *LEFT_OUT)
    before = snapshot(home)
    code, said = command(capsys, home, *LEFT_OUT)
    assert (code, said) == (0, f"{home}: installed and current already; nothing was changed\n")
    assert snapshot(home) == before


def test_diff_prints_a_unified_diff_and_writes_nothing(home, capsys):
    before = snapshot(home)
    code, said = command(capsys, home, "--diff", *LEFT_OUT)
    assert code == 0
    assert said.startswith("--- a/train_v2.py\n+++ b/train_v2.py\n")
    assert "+            session.after_loss(loss)\n" in said
    assert "+++ b/configs/orl_invreg.py" in said
    assert snapshot(home) == before
    command(capsys, home, *LEFT_OUT)
    assert command(capsys, home, "--diff", *LEFT_OUT) == (0, "")


def test_check_tells_the_four_states_apart(home, capsys, monkeypatch):
    assert command(capsys, home, "--check") == (1, f"{home}: not installed\n")
    command(capsys, home, *LEFT_OUT)
    assert "installed and current; patches: hooks," in command(capsys, home, "--check")[1]
    tools = installer()
    patch = next(p for p in tools.PATCHES if p.NAME == "scheduler")
    monkeypatch.setattr(patch, "edits", lambda self, tree: [])
    code, said = command(capsys, home, "--check")
    assert code == 1
    assert "not current: lr_scheduler.py; install again" in said


def test_only_and_without_choose_patches_and_can_be_changed_later(home, capsys):
    command(capsys, home, "--only", "scheduler")
    changed = [n for n, b in snapshot(MINIATURE).items() if snapshot(home)[n] != b]
    assert changed == ["lr_scheduler.py"]
    assert command(capsys, home, "--only", "scheduler", "--check")[0] == 0
    command(capsys, home, *LEFT_OUT, "--without", "scheduler")
    assert (home / "lr_scheduler.py").read_bytes() == (MINIATURE / "lr_scheduler.py").read_bytes()
    assert "bridge" in (home / "dataset.py").read_text()
    assert command(capsys, home, "--undo")[0] == 0
    assert snapshot(home) == snapshot(MINIATURE)


def test_an_unknown_patch_is_refused_with_the_known_ones(home, capsys):
    code, said = command(capsys, home, "--only", "hoks")
    assert code == 2
    assert "there is no patch 'hoks'; patches: hooks, resume, group, device" in said


def test_every_missing_anchor_is_named_and_nothing_is_written(home, capsys):
    text = (home / "train_v2.py").read_text()
    (home / "train_v2.py").write_text(text.replace("lr_scheduler.step()", "scheduler.step()"))
    (home / "dataset.py").write_text("import torch\n")
    before = snapshot(home)
    code, said = command(capsys, home, *LEFT_OUT)
    assert code == 2
    assert (
        "train_v2.py: the line `lr_scheduler.step()` was not found (patch hooks); "
        "write there by hand:\n    session.after_step()" in said
    )
    assert "dataset.py: the construction of MXFaceDataset was not found (patch records)" in said
    assert "leave the patch out with --without NAME, or write the lines by hand" in said
    assert snapshot(home) == before


def test_an_edited_file_is_refused_with_the_difference(home, capsys):
    command(capsys, home, *LEFT_OUT)
    with (home / "losses.py").open("a") as file:  # no patched file: no one's business
        file.write("# mine\n")
    with (home / "lr_scheduler.py").open("a") as file:
        file.write("# mine too\n")
    before = snapshot(home)
    for mode in ([], ["--undo"], ["--check"], ["--diff"]):
        code, said = command(capsys, home, *mode, *([] if mode == ["--undo"] else LEFT_OUT))
        assert code == (1 if mode == ["--check"] else 2)
        assert f"{home / 'lr_scheduler.py'} was edited since the install" in said
        assert "\n+# mine too\n" in said
        assert "`git checkout lr_scheduler.py`" in said
    assert snapshot(home) == before


def test_a_file_taken_back_by_hand_is_patched_again(home, capsys):
    command(capsys, home, *LEFT_OUT)
    shutil.copy(MINIATURE / "lr_scheduler.py", home / "lr_scheduler.py")
    assert command(capsys, home, "--check")[0] == 1
    assert command(capsys, home, *LEFT_OUT)[0] == 0
    assert command(capsys, home, "--check")[0] == 0


@pytest.mark.parametrize("moment", [0, 1, 3, 8])
def test_an_interrupted_install_is_rolled_back_by_the_next_command(
    home, capsys, monkeypatch, moment
):
    tools = installer()
    interrupt_after(tools, monkeypatch, moment)
    with pytest.raises(SystemError):
        main(["install", str(home), *LEFT_OUT])
    monkeypatch.undo()
    assert "was interrupted; install again, or --undo" in command(capsys, home, "--check")[1]
    if moment % 2:
        assert command(capsys, home, "--undo")[0] == 0
        assert snapshot(home) == snapshot(MINIATURE)
    else:
        code, said = command(capsys, home, *LEFT_OUT)
        assert code == 0
        assert "an interrupted install was rolled back" in said
        assert command(capsys, home, "--check")[0] == 0


def test_an_interrupted_change_of_patches_is_rolled_back_too(home, capsys, monkeypatch):
    command(capsys, home, *LEFT_OUT, "--without", "labels")
    interrupt_after(installer(), monkeypatch, 0)
    with pytest.raises(SystemError):
        main(["install", str(home), *LEFT_OUT])
    monkeypatch.undo()
    assert command(capsys, home, "--undo")[0] == 0
    assert snapshot(home) == snapshot(MINIATURE)


def interrupt_after(tools, monkeypatch, writes: int) -> None:
    """Ends the command like a lost machine, after so many files."""
    write, left = tools.replace, iter(range(writes))

    def lost(path: Path, data: bytes) -> None:
        if next(left, None) is None:
            raise SystemError("power lost")
        write(path, data)

    monkeypatch.setattr(tools, "replace", lost)


def test_a_folder_that_cannot_be_written_is_left_as_it_was(home, capsys, monkeypatch):
    tools = installer()
    write = tools.replace

    def refused(path: Path, data: bytes) -> None:
        if path.name == "dataset.py" and data != (MINIATURE / "dataset.py").read_bytes():
            raise PermissionError(13, "Permission denied", str(path))
        write(path, data)

    monkeypatch.setattr(tools, "replace", refused)
    code, said = command(capsys, home, *LEFT_OUT)
    assert code == 2
    assert f"cannot write in {home}: Permission denied" in said
    assert "everything is as it was" in said
    assert snapshot(home) == snapshot(MINIATURE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(home, capsys):
    os.chmod(home, 0o555)
    code, said = command(capsys, home, *LEFT_OUT)
    os.chmod(home, 0o755)
    assert code == 2
    assert f"cannot write in {home}" in said


def test_an_edited_config_survives_install_and_undo(home, capsys):
    command(capsys, home, *LEFT_OUT)
    mine = home / "configs" / "orl_invreg.py"
    mine.write_text("config = {}\n")
    assert command(capsys, home, *LEFT_OUT)[0] == 0
    assert mine.read_text() == "config = {}\n"
    assert (
        "kept configs/orl_invreg.py, which was edited since" in command(capsys, home, "--undo")[1]
    )
    assert mine.is_file()


def test_windows_line_ends_come_back_as_they_were(home, capsys):
    for path in home.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = snapshot(home)
    assert command(capsys, home, *LEFT_OUT)[0] == 0
    assert b"\r\n        session.before_epoch(epoch)\r\n" in (home / "train_v2.py").read_bytes()
    assert command(capsys, home, "--undo")[0] == 0
    assert snapshot(home) == before


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["readme.txt"], "is no arcface_torch folder: there is no train_v2.py with"),
        (["train.py", "partial_fc.py"], "is an arcface_torch from before July 2022"),
        (
            ["train_v2.py", "partial_fc_v2.py"],
            "dataset.py does not exist; this is no arcface_torch",
        ),
    ],
)
def test_other_folders_are_refused(tmp_path, capsys, files, sentence):
    for name in files:
        shutil.copy(MINIATURE / name, tmp_path) if (MINIATURE / name).is_file() else (
            tmp_path / name
        ).write_text("")
    code, said = command(capsys, tmp_path, *LEFT_OUT)
    assert code == 2
    assert sentence in said
    assert not (tmp_path / ".arcface_fair").exists()


def test_a_patched_copy_without_its_record_is_refused(home, capsys):
    command(capsys, home, *LEFT_OUT)
    shutil.rmtree(home / ".arcface_fair")
    code, said = command(capsys, home, *LEFT_OUT)
    assert code == 2
    assert "calls arcface_fair.bridge already" in said
    assert "restore it with `git checkout train_v2.py`" in said
    assert command(capsys, home, "--undo")[1].endswith("there is nothing to undo\n")


def test_damaged_records_are_refused(home, capsys):
    command(capsys, home, *LEFT_OUT)
    (home / ".arcface_fair" / "originals" / "dataset.py").unlink()
    code, said = command(capsys, home, "--undo")
    assert code == 2
    assert "the copy of dataset.py from before the install, cannot be read" in said
    (home / ".arcface_fair" / "installed.json").write_text("{")
    code, said = command(capsys, home, "--undo")
    assert code == 2
    assert "installed.json cannot be read" in said


def test_a_folder_must_be_given_and_patches_can_be_listed(capsys):
    code, said = command(capsys)
    assert code == 2
    assert "no folder was given" in said
    code, said = command(capsys, "--list")
    assert code == 0
    assert len(said.splitlines()) == len(installer().PATCHES)


def test_without_libcst_the_extra_is_named(home, capsys, monkeypatch):
    from arcface_fair.cli import _patching

    find = _patching.importlib.util.find_spec
    monkeypatch.setattr(
        _patching.importlib.util, "find_spec", lambda name: None if name == "libcst" else find(name)
    )
    code, said = command(capsys, home)
    assert code == 2
    assert "pip install 'arcface-fair[upstream]'" in said


def test_a_config_of_yours_with_the_name_of_ours_is_left_alone(home, capsys):
    mine = home / "configs" / "orl_invreg.py"
    mine.write_text("config = {}\n")
    code, said = command(capsys, home, *LEFT_OUT)
    assert code == 0
    assert "orl_invreg" not in said
    assert mine.read_text() == "config = {}\n"


def test_every_copied_config_runs_where_it_was_copied_to(home, capsys):
    command(capsys, home, *LEFT_OUT)
    copied = {path.name for path in (home / "configs").glob("*.py")} - {"base.py", "__init__.py"}
    assert {"ms1mv3_r100_invreg.py", "orl_invreg.py"} <= copied
    for name in copied:
        config = runpy.run_path(str(home / "configs" / name))["config"]
        assert config["network"], name
