# SPDX-License-Identifier: MIT
"""The page stands alone, escapes names, marks best and worst, and never shows a spread alone."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from arcface_fair.report import write_html
from arcface_fair.report.page import page
from tests.arcface_fair.report.example import example, some_pairs


class Reader(HTMLParser):
    """Tags, headings, tables as lists of rows."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.rows, self.open, self.text = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("src", "href", "xlink:href") and v]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text.append(data)
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def both():
    report = example()
    models = (replace(report.models[0], all_pairs=some_pairs()), report.models[1])
    return page(replace(report, models=models))


def test_the_page_needs_no_network_and_no_script(both):
    reader = Reader(both)
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert "@import" not in both
    assert not re.search(r"url\((?!#|data:)", both)


def test_names_from_outside_are_escaped(both):
    assert "Who is &lt;recognised&gt;?" in both
    assert "south &lt;b&gt;" in both
    assert "<b>" not in both


def test_the_spread_stands_behind_mean_worst_and_tpr_in_one_row(both):
    head = next(row for row in Reader(both).rows if "SER" in row)
    assert head[1:] == [
        "mean accuracy", "worst accuracy", "mean TPR at FPR 0.05", "worst TPR at FPR 0.05",
        "STD n", "STD n-1", "SER",
    ]  # fmt: skip
    others = [row for row in Reader(both).rows if {"STD n", "STD n-1", "SER"} & set(row)]
    assert others == [head]


def test_words_come_before_figures(both):
    text = " ".join(Reader(both).text)
    assert text.index("mean accuracy fell by") < text.index("Overview")
    assert "certifies nothing" in text


def test_best_and_worst_are_marked_in_words_too(both):
    assert re.search(r'<td class="best" title="best">', both)
    assert re.search(r'<td class="worst" title="worst">', both)


def test_how_it_was_made_and_all_pairs_are_there(both):
    text = " ".join(Reader(both).text)
    for expected in ("arcface-fair evaluate 'a & b'", "ab" * 32, "How this was made",
                     "All pairs: old & plain", "too few impostors for this FPR",
                     "Counts and rates of new", "new against old & plain"):  # fmt: skip
        assert expected in text, expected


def test_one_model_with_one_group_has_no_difference_and_no_spread():
    text = page(example(models=1, groups=1))
    assert "There is one group" in text
    assert "against" not in text.split("<style>")[0]
    assert 'title="the data cannot say"' in text


def test_an_fpr_that_nothing_resolves_still_makes_a_page(tmp_path):
    path = write_html(example(models=1, fprs=(1e-6,)), tmp_path / "page.html")
    assert "too few impostors for this FPR: 240 pairs" in path.read_text()


def test_the_same_report_gives_the_same_page(both):
    report = example()
    models = (replace(report.models[0], all_pairs=some_pairs()), report.models[1])
    assert page(replace(report, models=models)) == both
