# SPDX-License-Identifier: MIT
"""IJB folders: 1:1 twice, 1:N where its lists are there."""

import cv2
import numpy as np
import pytest

from arcface_fair.errors import UserError
from arcface_fair.evaluation.templates import compare_templates, pool_templates, tpr_nearest
from arcface_fair.evaluation.text import text_table
from arcface_fair.judge.protocols import embed_blocks, judge_ijb
from tests.small_data import picture, raw_pixels

POINTS = "38.3 51.7 73.5 51.5 56.0 71.7 41.5 92.4 70.7 92.2"


@pytest.fixture
def folder(tmp_path):
    """Ten templates of five people; two of the people are in no gallery."""
    (tmp_path / "loose_crop").mkdir()
    (tmp_path / "meta").mkdir()
    named, points = [], []
    for template in range(10):
        for shot in range(2):
            name = f"{template}_{shot}.jpg"
            (tmp_path / "loose_crop" / name).write_bytes(picture(template % 5, 2 * template + shot))
            named.append(f"{name} {template} {100 * template + shot}")
            points.append(f"{name} {POINTS} 0.9")
    pairs = [f"{a} {b} {int(a % 5 == b % 5)}" for a in range(10) for b in range(a)]
    meta = tmp_path / "meta"
    (meta / "ijbc_face_tid_mid.txt").write_text("\n".join(named) + "\n")
    (meta / "ijbc_name_5pts_score.txt").write_text("\n".join(points) + "\n")
    (meta / "ijbc_template_pair_label.txt").write_text("\n".join(pairs) + "\n")
    gallery = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n" + "".join(f"{t},{t},x\n" for t in (0, 1, 2))
    (meta / "ijbc_1N_gallery_G1.csv").write_text(gallery)
    probes = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n" + "".join(f"{t},{t % 5},x\n" for t in range(5, 10))
    (meta / "ijbc_1N_probe_mixed.csv").write_text(probes)
    return tmp_path


def pixels(images, told):
    told(len(images))
    return raw_pixels(images)


def test_one_to_one_and_one_to_many_are_found_in_the_folder(folder):
    heads, lines = judge_ijb(pixels, folder, "pixels")
    assert heads[:2] == ["TPR, %", "1e-06"]
    assert [line[0] for line in lines] == [
        "pixels: 1:1, FPR at most",
        "pixels: 1:1, nearest point of the ROC curve (arcface_torch)",
        "pixels: 1:N, G1",
    ]
    assert lines[0][1:6] == ["-"] * 5  # 40 impostor pairs resolve no FPR below 1/40
    assert lines[2][1].startswith("rank 1: ")
    text = text_table(heads, lines)
    assert len({len(line) for line in text.splitlines()}) == 1


def test_the_figures_are_those_of_the_arrays(folder):
    from arcface_fair.data.sets.ijb import read_ijb

    ijb = read_ijb(folder)
    rows = raw_pixels(np.stack([ijb.face(n) for n in range(20)]))
    templates = pool_templates(rows, ijb.templates, ijb.media, ijb.scores)
    scores = compare_templates(templates, *ijb.pairs.T)
    _, lines = judge_ijb(pixels, folder, "pixels")
    assert lines[1][-1] == f"{100 * tpr_nearest(scores, ijb.same, 0.1):.2f}"


def test_without_lists_of_1_to_n_there_is_1_to_1_alone(folder):
    (folder / "meta" / "ijbc_1N_gallery_G1.csv").unlink()
    assert len(judge_ijb(pixels, folder, "pixels")[1]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [("T,S\nx,1\n", "cannot be read as a list of templates"), ("T,S\n", "lists no template")],
)
def test_a_broken_list_is_named(folder, text, message):
    (folder / "meta" / "ijbc_1N_gallery_G1.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        judge_ijb(pixels, folder, "pixels")


def test_a_missing_image_is_named(folder):
    (folder / "loose_crop" / "3_1.jpg").unlink()
    with pytest.raises(UserError, match=r"3_1\.jpg"):
        judge_ijb(pixels, folder, "pixels")


def test_no_images_are_refused():
    with pytest.raises(UserError, match="there are no images to embed"):
        embed_blocks(pixels, lambda at: cv2.imread(""), 0, "nothing")
