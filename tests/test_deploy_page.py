# SPDX-License-Identifier: MIT
"""The first lines of docs/deploy.md do what they say: from a run to a similarity of two photos."""

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcface_fair.cli import main
from arcface_fair.export.pack import LICENCE_NOTE
from arcface_fair.hosts.embedded import train
from tests.scrfd import write_stand_in_detector
from tests.small_data import picture, small_run, write_small_record

PAGE = Path(__file__).parents[1] / "docs" / "deploy.md"


def block(language):
    """The first block of the page in a language."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)[1]


@pytest.mark.filterwarnings("ignore:.*estimate. is deprecated:FutureWarning")
def test_five_lines_lead_from_a_run_to_a_similarity(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    record = write_small_record(Path("record"))
    train(small_run(record, Path("my_run"), embedding_size=512, num_epoch=1))
    write_stand_in_detector(Path("det_10g.onnx"))
    for name, shot in (("a.jpg", 1), ("b.jpg", 2)):
        pixels = cv2.imdecode(np.frombuffer(picture(3, shot), np.uint8), cv2.IMREAD_COLOR)
        cv2.imwrite(name, cv2.resize(pixels, (400, 400)))
    command, *arguments = shlex.split(block("bash"))
    assert command == "arcface-fair"
    assert main(arguments) == 0
    lines = block("python")
    assert len(lines.splitlines()) == 5
    exec(compile(lines, str(PAGE), "exec"), {})
    said = capsys.readouterr().out
    assert 0.5 < float(re.search(r"similarity (-?\d\.\d{3})\n", said)[1]) <= 1


def test_the_page_quotes_the_licence_note_as_the_command_prints_it():
    words = " ".join(line.removeprefix("> ") for line in PAGE.read_text().splitlines())
    assert " ".join(LICENCE_NOTE.split()) in " ".join(words.split())
