# SPDX-License-Identifier: MIT
"""A pack is what FaceAnalysis and the server's reader accept, or a sentence says why not."""

import json
import shutil

import cv2
import numpy as np
import onnx
import pytest
import torch
from insightface.app import FaceAnalysis
from insightface.utils import face_align

from arcface_fair.errors import UserError
from arcface_fair.export.pack import LICENCE_NOTE, plan_pack, task_of, write_pack
from tests.scrfd import write_stand_in_detector

# insightface's alignment calls scikit-image in a way that goes away.
pytestmark = pytest.mark.filterwarnings("ignore:.*estimate. is deprecated:FutureWarning")

PHOTO = cv2.resize(np.random.default_rng(3).integers(0, 256, (20, 20, 3), np.uint8), (300, 300))


@pytest.fixture(scope="session")
def detector(tmp_path_factory):
    return write_stand_in_detector(tmp_path_factory.mktemp("detector") / "det_10g.onnx")


@pytest.fixture
def pack(exported, detector, tmp_path):
    plan = plan_pack(tmp_path / "pack", detector, "trial")
    plan.folder.mkdir()
    shutil.copy(exported, plan.recogniser)
    return plan


def analyse(folder):
    app = FaceAnalysis(name=str(folder), providers=["CPUExecutionProvider"])
    app.prepare(ctx_id=-1, det_size=(640, 640))
    (face,) = app.get(PHOTO)
    return face


def check_embedding(face, net):
    crop = face_align.norm_crop(PHOTO, face.kps)
    rgb = torch.from_numpy(crop[None, :, :, ::-1].copy()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = net((rgb - 127.5) / 127.5)[0].numpy()
    assert face.embedding.shape == (512,)
    assert np.abs(face.embedding - expected).max() / np.linalg.norm(expected) < 1e-5


def test_face_analysis_gives_the_backbones_embedding_with_and_without_manifest(pack, net):
    shutil.copy(pack.detector, pack.folder)
    check_embedding(analyse(pack.folder), net)
    write_pack(pack, schema="package")
    check_embedding(analyse(pack.folder), net)


def test_a_flipped_byte_is_noticed_through_the_manifest(pack):
    write_pack(pack, schema="package")
    content = bytearray(pack.recogniser.read_bytes())
    content[len(content) // 2] ^= 1
    pack.recogniser.write_bytes(content)
    with pytest.raises(RuntimeError, match="SHA-256"):
        analyse(pack.folder)


def test_face_analysis_ignores_the_servers_manifest(pack, net):
    write_pack(pack, schema="server")
    check_embedding(analyse(pack.folder), net)


def test_the_servers_manifest_has_its_keys_and_a_note_but_no_licence(pack):
    path = write_pack(pack, schema="server", version="7")
    assert json.loads(path.read_text()) == {
        "manifest_version": 1,
        "model_id": "trial",
        "model_version": "7",
        "display_name": "trial",
        "files": {"detector": "det_10g.onnx", "recognizer": "recognition.onnx"},
        "recognition": {
            "input_size": [112, 112],
            "embedding_dimension": 512,
            "preprocessing": "insightface-arcface-1",
        },
        "license": "MODEL.LICENSE",
    }
    assert (pack.folder / "LICENCE-NOTE.txt").read_text() == LICENCE_NOTE
    assert not (pack.folder / "MODEL.LICENSE").exists()
    write_pack(pack, schema="server")
    assert len(json.loads(path.read_text())["model_version"]) == 12


def test_a_pack_can_be_written_again(pack):
    first = write_pack(pack, schema="package").read_bytes()
    again = plan_pack(pack.folder, None, "trial")
    assert write_pack(again, schema="package").read_bytes() == first


def test_a_second_recogniser_is_refused_because_insightface_takes_the_first(
    exported, detector, tmp_path
):
    shutil.copy(exported, tmp_path / "a_model.onnx")
    with pytest.raises(UserError, match=r"a_model\.onnx is a recogniser too, and InsightFace sile"):
        plan_pack(tmp_path, detector, "trial")


def test_a_pack_without_or_with_two_detectors_is_refused(detector, tmp_path):
    with pytest.raises(UserError, match=r"needs one detector .* would hold none; give --detector"):
        plan_pack(tmp_path, None, "trial")
    shutil.copy(detector, tmp_path / "scrfd.onnx")
    with pytest.raises(UserError, match=r"would hold scrfd\.onnx, det_10g\.onnx; give"):
        plan_pack(tmp_path, detector, "trial")


def test_a_detector_that_is_none_is_refused(exported, tmp_path):
    with pytest.raises(UserError, match=r"small\.onnx is no face detector .*such as det_10g"):
        plan_pack(tmp_path, exported, "trial")


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        ("a b", "'a b' is not one that InsightFace accepts"),
        ("", "'' is not one that InsightFace accepts"),
        ("buffalo_l", "'buffalo_l' is that of one of InsightFace's own packs"),
    ],
)
def test_model_ids_that_insightface_refuses_or_owns_are_refused(model_id, message, tmp_path):
    with pytest.raises(UserError, match=message):
        plan_pack(tmp_path, None, model_id)


@pytest.mark.parametrize("text", ['{"model_id": "other"}', "[]", "{"])
def test_a_foreign_manifest_is_refused(text, detector, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"belongs to the pack .*, not to 'trial'; choose another"):
        plan_pack(tmp_path, detector, "trial")


def test_a_damaged_onnx_in_the_folder_is_named(detector, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"\x08no model")
    with pytest.raises(UserError, match=r"broken\.onnx cannot be read as an ONNX model"):
        plan_pack(tmp_path, detector, "trial")
    (tmp_path / "broken.onnx").write_bytes(b"")
    with pytest.raises(UserError, match=r"broken\.onnx holds no model with an input and an out"):
        plan_pack(tmp_path, detector, "trial")


def test_a_folder_that_cannot_be_written_is_named(pack, tmp_path):
    (pack.folder / "det_10g.onnx").mkdir()
    with pytest.raises(UserError, match=r"det_10g\.onnx cannot be written"):
        write_pack(pack, schema="package")


@pytest.mark.parametrize(
    ("shape", "task"),
    [
        ([1, 3, 192, 192], "landmark"),
        ([1, 3, 96, 96], "attribute"),
        ([1, 3, 112, 112], "recognition"),
        ([1, 3, "h", "w"], None),
        ([1, 3, 112, 96], None),
        ([1, 3, 100, 100], None),
    ],
)
def test_tasks_are_told_as_insightface_tells_them(shape, task, tmp_path):
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("Identity", ["x"], ["y"])],
        "g",
        [make.make_tensor_value_info("x", kind, shape)],
        [make.make_tensor_value_info("y", kind, shape)],
    )
    onnx.save(make.make_model(graph), str(tmp_path / "m.onnx"))
    found = task_of(tmp_path / "m.onnx")
    assert found == (None if "h" in shape else task)
