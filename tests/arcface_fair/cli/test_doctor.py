# SPDX-License-Identifier: MIT
import pytest

from arcface_fair.cli import main
from arcface_fair.cli._doctor import memory
from tests.patches.hosts import NOT_IN_MINIATURE, install, miniature, write_config
from tests.small_data import write_small_record


def doctor(capsys, *arguments):
    code = main(["doctor", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_versions_devices_and_backends_are_told(capsys):
    code, said = doctor(capsys)
    assert code == 0
    for part in ("arcface-fair ", "torch 2", "devices: ", "backends: gloo", "plugins: "):
        assert part in said


def test_a_folder_is_judged_by_its_install(tmp_path, capsys):
    home = miniature(tmp_path / "arcface_torch")
    code, said = doctor(capsys, home)
    assert code == 1
    assert f"problem: {home}: not installed" in said
    install(home, without=NOT_IN_MINIATURE)
    code, said = doctor(capsys, home)
    assert code == 0
    assert f"{home}: installed and current" in said
    code, said = doctor(capsys, tmp_path)
    assert "is no arcface_torch folder" not in said  # found inside
    code, said = doctor(capsys, tmp_path / "nowhere")
    assert code == 1
    assert "is no arcface_torch folder" in said


@pytest.fixture
def record(tmp_path):
    return write_small_record(tmp_path / "record")


def test_data_that_agree_with_the_config_are_described(tmp_path, record, capsys):
    (record / "groups.tsv").write_text(
        "identity\tkind\n" + "".join(f"{i}\t{'ab'[i % 2]}\n" for i in range(8))
    )
    path = write_config(
        tmp_path / "run.py", {"rec": str(record), "num_classes": 8, "val_targets": ["unseen"]}
    )
    code, said = doctor(capsys, "--config", path, "--world", 2)
    assert code == 0
    assert f"{record}: 48 images of 8 identities" in said
    assert "groups.tsv: kind" in said
    assert "head for C = 8, N = 256 (batch 128 on 2 processes)" in said


def test_everything_that_does_not_agree_is_named(tmp_path, record, capsys):
    path = write_config(
        tmp_path / "run.py",
        {"rec": str(record), "num_classes": 10, "num_image": 7, "val_targets": ["lfw"],
         "plugins": ["nowhere"], "groups": str(tmp_path / "none.tsv")},
    )  # fmt: skip
    code, said = doctor(capsys, "--config", path)
    assert code == 1
    problems = [line for line in said.splitlines() if line.startswith("problem: ")]
    for part in ("names 'nowhere'", "num_image is 7, the data hold 48", "lfw.bin",
                 "num_classes is 10, the data hold 8", "none.tsv"):  # fmt: skip
        assert any(part in line for line in problems), part


@pytest.mark.parametrize("rec", [None, "/nowhere"])
def test_missing_data_are_named(tmp_path, capsys, rec):
    path = write_config(tmp_path / "run.py", {"rec": rec})
    code, said = doctor(capsys, "--config", path)
    assert code == 1
    assert "config.rec is not set" in said or "the data folder /nowhere does not exist" in said


def test_labels_beyond_num_classes_are_named(tmp_path, record, capsys):
    path = write_config(tmp_path / "run.py", {"rec": str(record), "num_classes": 5})
    code, said = doctor(capsys, "--config", path)
    assert code == 1
    assert "outside 0..4" in said


def test_the_estimate_counts_centres_state_and_matrices():
    lines = memory(classes=2**20, batch=128, size=512, world=8, sample_rate=0.5, optimizer="adamw")
    # 2^17 rows x 512 x 4 bytes = 256 MiB, four times: centres, gradient, two averages.
    assert "optimiser 1024 MiB" in lines[1]
    # 1024 rows x 2^16 sampled classes x 4 bytes = 256 MiB, three times.
    assert "dense 768 MiB" in lines[2]
