# SPDX-License-Identifier: MIT
from __future__ import annotations

from arcface_fair.data.record.report import inspect_record, words
from tests.arcface_fair.data.record.test_report import JPEG, record_of


def test_the_real_record_in_words(orl):
    text = "\n".join(words(inspect_record(orl)))
    assert "layout:      insightface, record 0 announces 300 images of 30 identities" in text
    assert "sizes:       300 x 112 x 112 jpeg\nindex:       agrees\nfaults:      none found" in text


def test_many_faults_are_counted_and_the_first_told(tmp_path):
    report = record_of(tmp_path, [(0.0, b"")] * 13 + [(0.0, JPEG)])
    lines = list(words(report))
    assert "faults:      13" in lines
    assert lines[-1] == "  ... and 3 more"
