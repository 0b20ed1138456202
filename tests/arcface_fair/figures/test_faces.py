# SPDX-License-Identifier: MIT
import cv2
import numpy as np

from arcface_fair.data.groups import Attribute
from arcface_fair.figures import Stage, open_run
from arcface_fair.figures.faces import draw_faces, sample_people


def test_people_are_drawn_at_random_from_those_with_images():
    codes = np.repeat([0, 1], 50)
    stage = Stage(1, Attribute(("a", "b"), codes), np.ones(100, np.float32))
    images = np.where(np.arange(100) % 2 == 0, 3, 0)
    first = sample_people(stage, images, 5, seed=0)
    assert [len(members) for members in first] == [5, 5]
    for code, members in enumerate(first):
        assert (codes[members] == code).all()
        assert (images[members] > 0).all()
    other = sample_people(stage, images, 5, seed=1)
    assert first[0].tolist() != other[0].tolist()


def test_a_picture_shows_every_subset_even_with_fewer_people_than_columns(
    partitioned_run, tmp_path
):
    run = open_run(partitioned_run)
    path = draw_faces(run, run.stages[0], tmp_path / "faces.png", people=6, shots=2)
    picture = cv2.imread(str(path))
    assert picture.shape[0] > 250
    assert 0.2 < (picture == 255).all(2).mean() < 0.9  # faces, and white where people are missing
