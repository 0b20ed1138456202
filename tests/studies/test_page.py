# SPDX-License-Identifier: MIT
"""Page: it stands alone, says what held and what failed, and what it is no evidence of."""

import re
from html.parser import HTMLParser

import pytest

from studies.folder import write_json
from studies.page import numbers, outputs_table, page, write_page
from studies.results import gather
from studies.summary import summarise
from tests.benchmark_stubs import MADE, a_benchmark, put, record, run_of

VOID = {"meta"}


@pytest.fixture
def folder(tmp_path):
    return a_benchmark(tmp_path / "benchmark")


def text(page_text):
    return re.sub(r"<[^>]+>", " ", page_text)


def test_page_asks_for_nothing_outside(folder):
    found = page(gather(folder))
    # Inside an SVG, parts name each other by # and namespaces by addresses that nobody opens.
    assert not re.search(r"(src|href)=\"(?!#)|@import|url\((?!#)|<script", found)


def test_every_tag_is_closed(folder):
    class Checker(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open_tags = []

        def handle_starttag(self, tag, attrs):
            if tag not in VOID:
                self.open_tags.append(tag)

        def handle_startendtag(self, tag, attrs):
            pass

        def handle_endtag(self, tag):
            assert self.open_tags.pop() == tag, self.getpos()

    checker = Checker()
    checker.feed(page(gather(folder)))
    assert checker.open_tags == []


def test_page_says_what_it_is_no_evidence_of(folder):
    found = text(page(gather(folder)))
    assert "no evidence about real people" in found
    assert "demonstrates a mechanism" in found


def test_the_protocol_is_described(folder):
    found = page(gather(folder))
    for part in ("80 unseen identities per group", "20,000 impostor pairs",
                 "the three sets of identities are disjoint"):  # fmt: skip
        assert part in found


def test_differences_intervals_and_shares_are_there(folder):
    found = page(gather(folder))
    assert "+4.79<small>[" in found
    assert "60 %<small>[" in found
    assert "contrast minus contrast_rolled" in found


def test_every_groups_paired_difference_has_its_interval(folder):
    results = gather(folder)
    split = next(iter(results.rows["contrast"]["runs"]))
    part = page(results).split("per group, paired by seed")[1].split("</table>")[0]
    row = part.split("partition-contrast erasing</th>")[1].split("</tr>")[0]
    mine, theirs = (results.figures(name, split) for name in ("contrast", "arcface"))
    names = [k for k in next(iter(mine.values())) if k.startswith(("accuracy/", "tpr/"))]
    assert len(names) >= 4
    for name in names:
        mean = 100 * sum(mine[s][name] - theirs[s][name] for s in mine) / len(mine)
        assert f"{mean:+.2f}<small>[" in row, name


def test_what_failed_is_said(folder):
    found = text(page(gather(folder)))
    assert "levelling down" in found
    assert "below its own control invreg_random" in found


def test_smaller_spread_is_never_marked_as_good(folder):
    found = page(gather(folder))
    (row,) = re.findall(r'<tr><th scope="row">partition-contrast erasing</th>(.*?)</tr>', found)[
        1:2
    ]
    cells = re.findall(r"<td( class=\"best\")?", row)
    assert cells[:3] == [' class="best"'] * 3  # mean, worst group, TPR
    assert cells[3:5] == ["", ""]  # STD, SER


def test_extension_is_called_ours(folder):
    assert "an extension of ours, not either paper's algorithm" in page(gather(folder)).replace(
        "&#x27;", "'"
    )


def test_no_table_shows_spread_without_mean_worst_and_tpr(folder):
    for head in re.findall(r"<thead>(.*?)</thead>", page(gather(folder))):
        if "STD" in head or "SER" in head:
            assert all(name in head for name in ("mean accuracy", "worst group", "mean TPR"))


def test_reopened_rows_are_named(folder):
    again = [{"digest": "x", "date": "2026-11-22"}]
    state = {"contrast": {"digest": "y", "date": "2026-11-21T00", "again": again}}
    folder.write_state({"format": 1, "opened": state})
    assert (
        "The test identities of contrast were evaluated 2 times with different settings (first on "
        "2026-11-21): its test metrics are unblinded." in page(gather(folder))
    )


def test_uncommitted_files_and_several_commits_are_told(folder):
    run = run_of("arcface", 10)
    other = {**MADE, "commit": "f" * 40, "dirty": True, "code": "x"}
    write_json(folder.run_file(run.key), record(run, (0.9, 0.6, 0.8, 0.7), made=other))
    found = text(page(gather(folder)))
    assert "The runs were made by 2 commits, named below." in found
    assert "1 of 40 runs were made by files that no commit holds." in found


def test_validation_is_folded_behind_the_test(folder):
    put(folder, "arcface", (0, 1), split="validation")
    put(folder, "contrast", (0, 1), (0.01, 0.09, 0.03, 0.06), "validation", 0.001)
    found = page(gather(folder))
    assert "<summary>validation identities, seeds 0, 1</summary>" in found
    assert found.index("Test identities, evaluated once") < found.index(
        "validation identities, seeds"
    )


def test_suites_that_only_share_rows_are_left_out(folder):
    found = page(gather(folder))
    assert "The methods and their controls" in found
    assert "Table 8" not in found
    assert "Harder worlds" not in found


def test_each_world_stands_against_its_own_arcface(folder):
    for world in ("weak", "alike"):
        put(folder, f"{world}_arcface", (10, 11, 12), 0.01)
        put(folder, f"{world}_contrast", (10, 11, 12), (0.02, 0.05, 0.02, 0.02))
    found = page(gather(folder))
    assert "Difference to weak_arcface" in found
    assert "Difference to alike_arcface" in found


def test_intervals_over_people_are_shown_where_they_were_computed(folder):
    results = gather(folder)
    assert "people: mean" not in page(results)
    ends = {"mean": [0.0479, 0.045, 0.05], "worst": [0.09, 0.08, 0.1]}
    rows = {"contrast": {"arcface": ends}}
    results.content["bootstrap"] = {"test": {"resamples": 300, "rows": rows}}
    found = page(results)
    assert "people: mean" in found
    assert "[+4.50, +5.00]" in found


def test_partitions_gates_and_diagnosis_are_there(folder):
    found = text(page(gather(folder)))
    assert "partition-contrast erasing: contrast gap_difference" in found
    assert "partition-contrast erasing: diagnosis map auc" in found


def test_titles_are_escaped(folder):
    results = gather(folder)
    results.rows["arcface"]["title"] = "<b>&"
    assert "<b>&" not in page(results)


def test_empty_results_make_a_page(tmp_path):
    from studies.folder import Folder

    assert (
        "How this was made"
        in write_page(gather(Folder(tmp_path / "none")), tmp_path / "p.html").read_text()
    )


def lines(folder):
    return summarise(gather(folder), "main", "test").lines


def test_numbers_are_by_path_over_seeds(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    (line,) = [line for line in lines(folder) if line.name == "contrast"]
    found = numbers(line)
    assert found["contrast gap_difference"] == [0.25] * 5
    assert found["contrast gap[1]"] == [0.35] * 5
    assert found["contrast acts"] == [1.0] * 5
    assert found["diagnosis map auc"] == [0.9] * 5


def test_of_what_a_partition_follows_only_the_planted_columns_are_shown(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    follows = {"race": {"nmi": 0.5}, "moles": {"nmi": 0.1}}
    put(
        folder, "invreg", (10,), traces={"partitions": {"1": {"sizes": [3, 4], "follows": follows}}}
    )
    (line,) = [line for line in lines(folder) if line.name == "invreg"]
    assert set(numbers(line)) == {
        "partitions 1 sizes[0]", "partitions 1 sizes[1]", "partitions 1 follows race nmi",
    }  # fmt: skip


def test_outputs_have_mean_and_range(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    put(folder, "contrast", (10,), traces={"contrast": {"gap_difference": 0.35}})
    text = outputs_table(lines(folder))
    assert "0.27<small>0.25 .. 0.35</small>" in text


def test_run_configs_without_outputs_make_no_table(tmp_path):
    folder = a_benchmark(tmp_path / "b")
    assert outputs_table([line for line in lines(folder) if line.name == "arcface"]) == ""
