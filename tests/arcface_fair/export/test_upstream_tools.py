# SPDX-License-Identifier: MIT
"""arcface_torch's own tools accept an exported file; they run unchanged, in processes of their own.

Needs ARCFACE_TORCH. Two things that today's packages lack are put back around them: `np.int`, and
the one name that onnx_ijbc.py takes from MXNet.
"""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from arcface_fair.data.image.alignment import TEMPLATE
from arcface_fair.data.sets.ijb import read_ijb
from arcface_fair.evaluation.templates import compare_templates, pool_templates
from arcface_fair.export import export_onnx
from arcface_fair.export.runtime import OnnxEmbedder
from tests.arcface_fair.export.conftest import trained_like
from tests.patches.checkout import checkout
from tests.small_data import picture

pytestmark = pytest.mark.slow

AROUND = """
import runpy, sys, types
import numpy as np
np.int = int
mxnet = types.ModuleType("mxnet")
mxnet.gluon = types.SimpleNamespace(data=types.SimpleNamespace(Dataset=object))
sys.modules["mxnet"] = mxnet
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_tool(name, *arguments):
    """The output of one of arcface_torch's scripts."""
    command = [sys.executable, "-c", AROUND, str(checkout() / name), *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(("name", "opset"), [("small", 11), ("small", 17), ("mbf", 11)])
def test_mfrs_checker_objects_to_nothing_but_the_time_on_a_cpu(name, opset, tmp_path):
    export_onnx(trained_like(name), tmp_path / "model.onnx", opset=opset)
    said = run_tool("onnx_helper.py", tmp_path, "--track", "ms1mv3")
    verdict = said.rstrip().splitlines()[-1]
    assert verdict == "err: None" or verdict.startswith("err: max time cost exceed"), said
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def write_ijb_folder(folder, images=24):
    """Loose crops with landmarks, three of them per template, two of these from one video."""
    random = np.random.default_rng(0)
    standard = np.array([[38, 52], [74, 52], [56, 72], [42, 92], [71, 92]]) + 40.0
    (folder / "loose_crop").mkdir(parents=True)
    (folder / "meta").mkdir()
    media, points = [], []
    for number in range(images):
        name, template = f"{number}.jpg", 10 + number // 3
        face = cv2.imdecode(np.frombuffer(picture(number // 3, number), np.uint8), 1)
        cv2.imwrite(str(folder / "loose_crop" / name), cv2.resize(face, (190, 190)))
        media.append(f"{name} {template} {number - number % 3 + number % 2}")
        corners = (standard + random.normal(0, 3, standard.shape)).ravel()
        points.append(
            f"{name} {' '.join(f'{x:.3f}' for x in corners)} {random.uniform(0.5, 1):.4f}"
        )
    templates = sorted({int(line.split()[1]) for line in media})
    pairs = [f"{a} {b} {int((a + b) % 3 == 0)}" for a in templates for b in templates if a < b]
    for name, lines in (("face_tid_mid", media), ("name_5pts_score", points),
                        ("template_pair_label", pairs)):  # fmt: skip
        (folder / "meta" / f"ijbc_{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_the_ijb_script_and_our_evaluator_give_the_same_scores(tmp_path):
    pytest.importorskip("prettytable", reason="the script needs it; see the extra [ijb]")
    folder = write_ijb_folder(tmp_path / "ijb")
    model = tmp_path / "model" / "model.onnx"
    export_onnx(trained_like("small"), model)
    said = run_tool("onnx_ijbc.py", "--model-root", model.parent, "--image-path", folder)
    assert "IJBC.npy-IJBC" in said
    theirs = np.load(model.parent / "IJBC_result" / "IJBC.npy")
    ijb = read_ijb(folder)
    ours = scores(ijb, model, [ijb.face(number) for number in range(len(ijb.names))])
    assert len(ours) == 28
    assert ours.std() > 0.01
    # Its alignment computes in float32: one pixel in 10,000 differs from ours by one level.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-5)
    same_crops = [aligned_in_float32(ijb, number) for number in range(len(ijb.names))]
    np.testing.assert_allclose(scores(ijb, model, same_crops), theirs, rtol=0, atol=1e-6)


def scores(ijb, model, faces):
    pooled = pool_templates(
        OnnxEmbedder(model)(np.stack(faces)), ijb.templates, ijb.media, ijb.scores
    )
    return compare_templates(pooled, ijb.pairs[:, 0], ijb.pairs[:, 1])


def aligned_in_float32(ijb, number):
    """The crop as scikit-image's estimate gives it for points in float32, and their template."""
    template = (TEMPLATE - [8, 0]).astype(np.float32) + np.array([8, 0], np.float32)
    found = SimilarityTransform.from_estimate(ijb.landmarks[number].astype(np.float32), template)
    image = cv2.imread(str(ijb.folder / "loose_crop" / ijb.names[number]))[:, :, ::-1]
    return cv2.warpAffine(np.ascontiguousarray(image), found.params[:2], (112, 112))
