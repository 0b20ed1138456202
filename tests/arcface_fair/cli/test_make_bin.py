# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.cli import main
from arcface_fair.data.image.images import encode
from arcface_fair.data.sets.bins import load_bin


@pytest.fixture
def table(tmp_path):
    for n in range(4):
        image = encode(np.full((112, 112, 3), n, np.uint8), quality=None)
        (tmp_path / f"{n}.png").write_bytes(image)
    text = "left,right,same,group\n0.png,1.png,1,East\n2.png,3.png,0,West\n1.png,2.png,0,East\n"
    (tmp_path / "pairs.csv").write_text(text)
    return tmp_path / "pairs.csv"


def test_a_table_of_pairs_becomes_a_set_per_group(table, tmp_path, capsys):
    assert main(["make-bin", "pairs", str(table), str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert f"wrote {tmp_path}/out/East_test.bin: 2 pairs (1 genuine), 3 images" in out
    assert load_bin(tmp_path / "out" / "West_test.bin")[1].tolist() == [False]


def test_sets_are_kept_or_replaced_only_where_asked(table, tmp_path, capsys):
    arguments = ["make-bin", "pairs", str(table), str(tmp_path / "out")]
    assert main(arguments) == 0
    assert main(arguments) == 2
    assert "East_test.bin exists already" in capsys.readouterr().err
    (tmp_path / "out" / "West_test.bin").unlink()
    (tmp_path / "out" / "East_test.bin").write_bytes(b"whole")
    assert main([*arguments, "--skip-existing"]) == 0
    assert (tmp_path / "out" / "West_test.bin").exists()
    assert (tmp_path / "out" / "East_test.bin").read_bytes() == b"whole"
    assert main([*arguments, "--force"]) == 0
    assert (tmp_path / "out" / "East_test.bin").read_bytes() != b"whole"


def test_pairs_with_a_bad_image_are_left_out_where_asked(table, tmp_path, capsys):
    (tmp_path / "0.png").write_bytes(b"")
    arguments = ["make-bin", "pairs", str(table), str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "0.png is empty (zero bytes)" in capsys.readouterr().err
    assert main([*arguments, "--skip-bad"]) == 0
    assert (
        "East_test.bin: 1 pairs (0 genuine), 2 images, 1 pairs left out" in capsys.readouterr().out
    )


def test_landmarks_in_another_order_are_noticed(table, tmp_path, capsys):
    swapped = "73.5 51.5 38.3 51.7 56 71.7 70.7 92.2 41.5 92.4"
    (tmp_path / "lmk.txt").write_text("".join(f"{tmp_path}/{n}.png {swapped}\n" for n in range(4)))
    arguments = ["make-bin", "pairs", str(table), str(tmp_path / "out")]
    assert main([*arguments, "--landmarks", str(tmp_path / "lmk.txt")]) == 0
    assert (
        "the landmarks are far from the template: are they in the order" in capsys.readouterr().out
    )


def test_every_data_set_is_reached(tmp_path, capsys):
    for kind, sentence in [
        ("rfw", "does not hold RFW"),
        ("celeba", "does not hold CelebA's list_eval_partition.txt"),
        ("digiface", "holds 0 numbered folders, 1000 identities are wanted"),
        ("pairs", "cannot be read (Is a directory)"),
    ]:
        assert main(["make-bin", kind, str(tmp_path), str(tmp_path / "out")]) == 2
        assert sentence in capsys.readouterr().err


def test_wrong_numbers_and_empty_choices_are_refused(tmp_path, capsys, monkeypatch):
    assert main(["make-bin", "rfw", str(tmp_path), str(tmp_path / "o"), "--workers", "0"]) == 2
    assert "--workers is 0; it must be at least 1" in capsys.readouterr().err
    monkeypatch.setattr("arcface_fair.cli.make_bin.read_sets", lambda args: [])
    assert main(["make-bin", "celeba", str(tmp_path), str(tmp_path / "o")]) == 2
    assert "can make 20 pairs; name other attributes" in capsys.readouterr().err
