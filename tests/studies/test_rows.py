# SPDX-License-Identifier: MIT
"""Rows: every method has its controls beside it, and a name means one thing."""

from studies.rows import MAIN, QUICK, world_rows
from studies.suites import all_rows, suites

ROWS = {row.name: row for row in MAIN}


def test_main_table_holds_methods_and_their_controls():
    controls = {name: row.control_of for name, row in ROWS.items() if row.control_of}
    assert controls == {
        "invreg_random": "invreg",
        "invreg_shuffled": "invreg",
        "contrast_rolled": "contrast",
        "contrast_shuffled": "contrast",
        "contrast_shuffled_gated": "contrast",
    }


def test_every_name_means_one_row():
    for rows in suites().values():
        for row in rows:
            assert all_rows()[row.name] == row


def test_baselines_ceilings_and_controlled_rows_exist():
    for row in all_rows().values():
        assert {row.baseline, row.ceiling} <= set(all_rows())
        assert row.control_of is None or row.control_of in all_rows()


def test_baseline_of_a_row_lives_in_its_world():
    for row in all_rows().values():
        if not row.world.endswith(":control"):
            assert all_rows()[row.baseline].world == row.world


def test_extension_is_named_as_ours():
    assert "extension of ours" in ROWS["contrast"].note


def test_quick_rows_are_of_the_main_table():
    assert set(QUICK) <= set(ROWS)


def test_every_world_gets_arcface_ceiling_contrast_and_two_controls():
    names = [row.name for row in world_rows("weak")]
    assert names == ["weak_arcface", "weak_ceiling", "weak_contrast", "weak_contrast_rolled",
                     "weak_contrast_shuffled"]  # fmt: skip
    assert [row.name for row in world_rows("confounded")][:2] == ["arcface", "ceiling"]
