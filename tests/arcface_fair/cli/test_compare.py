# SPDX-License-Identifier: MIT
"""`arcface-fair compare` tells per group where two files agree, or why it cannot."""

import cv2
import numpy as np
import pytest

from arcface_fair.cli import main
from arcface_fair.export import export_onnx
from tests.arcface_fair.cli.test_export import refused
from tests.arcface_fair.export.conftest import trained_like
from tests.small_data import picture, write_small_record


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, size in (("a", 16), ("b", 16), ("c", 8)):
        net = trained_like("small", num_features=size).eval()
        if name == "b":
            net.fc.weight.data[0] *= 1.5
        export_onnx(net, folder / f"{name}.onnx")
    return folder


def write_faces(folder, count, first=0):
    folder.mkdir(parents=True)
    for identity in range(first, first + count):
        (folder / f"{identity}.jpg").write_bytes(picture(identity, 0))


def compare(capsys, *arguments):
    assert main(["compare", *(str(argument) for argument in arguments)]) == 0
    return capsys.readouterr().out


def test_sub_folders_are_groups(files, tmp_path, capsys):
    write_faces(tmp_path / "faces" / "north", 4)
    write_faces(tmp_path / "faces" / "south", 1, first=9)
    said = compare(capsys, files / "a.onnx", files / "b.onnx", tmp_path / "faces")
    head, north, south = (line.split() for line in said.splitlines()[:3])
    assert head[:4] == ["group", "faces", "cosine", "lowest"]
    assert north[:2] == ["north", "4"]
    assert 0.9 < float(north[3]) <= float(north[2]) < 1
    assert float(north[4]) > 0
    assert south[:2] == ["south", "1"]
    assert south[4:] == ["-"] * 4
    assert "of the cosine between two faces, from A to B" in said


def test_equal_files_agree_and_images_without_groups_are_one(files, tmp_path, capsys):
    write_faces(tmp_path / "faces", 3)
    said = compare(capsys, files / "a.onnx", files / "a.onnx", tmp_path / "faces")
    row = said.splitlines()[1].split()
    assert row[:2] == ["all", "3"]
    assert row[2:] == ["1.000000", "1.000000", "0.000000", "0.000000", "1.000000", "0.000000"]


def test_verification_sets_give_accuracies_and_their_change(files, tmp_path, capsys):
    record = write_small_record(tmp_path / "record")
    said = compare(capsys, files / "a.onnx", files / "c.onnx", "--bins", record / "unseen.bin")
    head, row = (line.split() for line in said.splitlines()[:2])
    assert " ".join(head).endswith("shift A % B % B - A")
    assert row[:4] == ["unseen", "40", "-", "-"]
    before, after, change = (float(cell) for cell in row[-3:])
    assert change == pytest.approx(after - before, abs=0.011)


def test_folders_and_images_that_cannot_be_compared_are_named(files, tmp_path, capsys):
    a = files / "a.onnx"
    assert "gone is no folder; give one with aligned" in refused(["compare", a, a, "gone"], capsys)
    said = refused(["compare", a, a, tmp_path], capsys)
    assert "holds no images; give a folder with aligned faces" in said
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((112, 100, 3), np.uint8))
    said = refused(["compare", a, a, tmp_path], capsys)
    assert "wide.png has (100, 112) pixels; expected an aligned face of 112 x 112" in said
    (tmp_path / "broken.jpg").write_bytes(b"")
    said = refused(["compare", a, a, tmp_path], capsys)
    assert "broken.jpg cannot be decoded; expected an aligned face" in said


def test_a_damaged_onnx_is_named(files, tmp_path, capsys):
    (tmp_path / "x.onnx").write_bytes(b"no model")
    said = refused(["compare", files / "a.onnx", tmp_path / "x.onnx", tmp_path], capsys)
    assert "x.onnx cannot be read as an ONNX model" in said


def test_a_diverged_model_is_named_with_its_group(files, tmp_path, capsys):
    import onnx

    model = onnx.load(str(files / "a.onnx"))
    weights = next(t for t in model.graph.initializer if t.name == "fc.bias")
    weights.raw_data = np.full(16, np.nan, np.float32).tobytes()
    onnx.save(model, str(tmp_path / "nan.onnx"))
    write_faces(tmp_path / "faces", 2)
    said = refused(["compare", files / "a.onnx", tmp_path / "nan.onnx", tmp_path / "faces"], capsys)
    assert "group 'all': a model gives embeddings that are not finite or zero" in said
