# SPDX-License-Identifier: MIT
from __future__ import annotations

import numpy as np
import pytest

from arcface_fair.evaluation import group_table
from arcface_fair.optional import pyplot
from drawn_faces.commands.demo import draw_figure

NAMES = ("ArcFace", "INV-REG", "random partitions", "contrast erasing", "rolled masks",
         "ArcFace, nothing planted")  # fmt: skip


def table(seed):
    rng, same = np.random.default_rng(seed), np.arange(200) % 2 == 0
    distances = np.where(same, 1.0, 1.6) + rng.normal(0, 0.3, 200).clip(-0.9, 1)
    return group_table(dict.fromkeys(("amber", "birch", "coral"), (distances, same)))


@pytest.mark.parametrize("count", [2, 6])
def test_every_model_is_named_inside_the_picture(tmp_path, monkeypatch, count):
    plt = pyplot()
    inside = []
    real = plt.Figure.savefig

    def look(figure, *args, **kwargs):
        figure.canvas.draw()
        (legend,) = figure.legends
        box, whole = legend.get_window_extent(), figure.bbox
        inside.append([text.get_text() for text in legend.get_texts()])
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0
        return real(figure, *args, **kwargs)

    monkeypatch.setattr(plt.Figure, "savefig", look)
    path = draw_figure({name: table(0) for name in NAMES[:count]}, tmp_path / "g.png")
    assert inside == [list(NAMES[:count])]
    assert path.read_bytes()[:4] == b"\x89PNG"
