# SPDX-License-Identifier: MIT
"""``arcface-fair benchmark``: what it makes, prints and writes, and every refusal in a sentence."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from setuptools import find_packages

import arcface_fair
from arcface_fair.cli import main
from studies import runner
from studies.folder import Folder, write_json
from studies.results import read_results
from tests.benchmark_stubs import a_benchmark, put, record, run_of, stub_command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return a_benchmark(tmp_path / "benchmark")


def benchmark(folder, *words):
    path = folder.path if isinstance(folder, Folder) else folder
    return main(["benchmark", "--folder", str(path), *map(str, words)])


@pytest.fixture
def stubbed(monkeypatch):
    """Runs are stubs: they write the record of a network, or do ``what`` by key."""

    def stub(what=None):
        real = runner.make

        def make(folder, runs, jobs, **settings):
            runs = list(runs)
            failures = real(folder, runs, jobs, **settings, command=stub_command(what or {}))
            for run in runs:
                if folder.finished(run.key):
                    write_json(folder.run_file(run.key), record(run, (0.9, 0.6, 0.8, 0.7)))
            return failures

        monkeypatch.setattr(runner, "make", make)

    return stub


def test_missing_runs_are_made_and_the_table_is_printed(folder, stubbed, capsys):
    stubbed()
    assert benchmark(folder, "--rows", "arcface", "invreg_truth", "--split", "test") == 0
    out = capsys.readouterr().out
    assert "10 runs, 5 of them finished before; about" in out
    assert "rows: test people, seeds 10, 11, 12, 13, 14" in out
    assert len([line for line in out.splitlines() if line.startswith("invreg_truth ")]) == 1


def test_second_time_nothing_is_left_to_do(folder, stubbed, capsys):
    stubbed()
    for _ in range(2):
        assert benchmark(folder, "--rows", "arcface", "--seeds", "0", "1") == 0
    assert "2 runs, 2 of them finished before; about 0 CPU minutes" in capsys.readouterr().out


def test_failed_run_is_named_and_the_code_is_2(folder, stubbed, capsys):
    stubbed({run_of("arcface", 1, "validation").key: "fail"})
    assert benchmark(folder, "--rows", "arcface", "--seeds", "0", "1") == 2
    out = capsys.readouterr().out
    assert "failed: arcface, seed 1: the network gives no finite embeddings (" in out
    assert "rows: validation people, seeds 0;" in out


def test_interrupt_says_how_many_are_done_and_ends_in_130(folder, monkeypatch, capsys):
    def make(folder, runs, jobs, on_done, **settings):
        run = next(iter(runs))
        write_json(folder.run_file(run.key), record(run, (0.9, 0.6, 0.8, 0.7)))
        on_done(run)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "make", make)
    assert benchmark(folder, "--rows", "arcface", "--seeds", "0", "1") == 130
    out, error = capsys.readouterr()
    assert "1 of 2 runs are done; the same command goes on" in out
    assert "interrupted" in error


def test_redo_makes_finished_runs_again(folder, stubbed, capsys):
    stubbed()
    assert benchmark(folder, "--rows", "arcface", "--split", "test", "--redo") == 0
    assert "5 runs, 0 of them finished before" in capsys.readouterr().out


def test_quick_is_two_seeds_of_four_rows(tmp_path, stubbed, capsys):
    stubbed()
    assert benchmark(tmp_path / "new", "--quick") == 0
    out = capsys.readouterr().out
    assert "8 runs, 0 of them finished before" in out
    rows = [line.split()[0] for line in out.splitlines() if "  2  " in line]
    assert rows[:4] == ["arcface", "ceiling", "contrast", "contrast_rolled"]


def test_json_and_page_are_written_and_the_page_again_from_the_json(folder, tmp_path, capsys):
    results, page = tmp_path / "r.json", tmp_path / "p.html"
    words = ("--split", "test", "--no-runs", "--json", results, "--page", page)
    assert benchmark(folder, *words) == 0
    first = page.read_text()
    assert main(["benchmark", "--from", str(results), "--page", str(page)]) == 0
    assert page.read_text() == first
    assert "partition-contrast erasing" in first
    assert f"wrote {results}" in capsys.readouterr().out


def test_json_is_added_to(folder, tmp_path):
    results = tmp_path / "r.json"
    assert benchmark(folder, "--split", "test", "--no-runs", "--json", results) == 0
    other = Folder(tmp_path / "other")
    put(other, "table8_k3", (10,))
    assert benchmark(other, "--split", "test", "--no-runs", "--json", results) == 0
    rows = json.loads(results.read_text())["rows"]
    assert {"arcface", "contrast", "table8_k3"} <= set(rows)


def test_test_rows_are_written_down_as_opened(folder, stubbed, tmp_path):
    stubbed()
    results = tmp_path / "r.json"
    assert benchmark(folder, "--rows", "cifp", "--split", "test", "--json", results) == 0
    opened = json.loads(results.read_text())["opened"]
    assert opened["cifp"]["digest"] == run_of("cifp", 10).settings.digest


def test_other_settings_of_an_opened_row_are_refused_unless_reopened(folder, stubbed, capsys):
    stubbed()
    digest = run_of("arcface", 10).settings.digest  # as if cifp had been tested with these
    entry = {"digest": digest, "date": "2026-11-21", "again": []}
    folder.write_state({"format": 1, "opened": {"cifp": entry}})
    words = ("--rows", "cifp", "--split", "test")
    assert benchmark(folder, *words) == 2
    assert "the test identities were evaluated for 'cifp' on 2026-11-21" in capsys.readouterr().err
    assert benchmark(folder, *words, "--reopen") == 0
    assert folder.state()["opened"]["cifp"]["again"][0]["digest"] == digest


def test_opening_in_the_results_file_counts_too(folder, tmp_path, capsys):
    results = tmp_path / "r.json"
    assert benchmark(folder, "--split", "test", "--no-runs", "--json", results) == 0
    content = json.loads(results.read_text())
    digest = content["rows"]["arcface"]["digest"]
    content["opened"] = {"cifp": {"digest": digest, "date": "2026-11-20", "again": []}}
    results.write_text(json.dumps(content))
    words = ("--rows", "cifp", "--split", "test", "--json", results)
    assert benchmark(tmp_path / "fresh", *words) == 2
    assert "for 'cifp' on 2026-11-20" in capsys.readouterr().err


def test_list_names_suites_rows_runs_and_cost(tmp_path, capsys):
    assert benchmark(tmp_path / "none", "--list") == 0
    out = capsys.readouterr().out
    assert "main: 16 rows, 30 runs, about" in out
    assert "contrast_rolled" in out
    assert "(control of contrast)" in out
    assert not (tmp_path / "none").exists()


def test_bootstrap_and_diagnosis_say_what_they_did(folder, capsys):
    words = ("--split", "test", "--no-runs", "--bootstrap", "2", "--diagnose")
    assert benchmark(folder, *words) == 0
    assert "0 of 75 runs were diagnosed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["best"], "there is no suite 'best'; known: main, worlds, "),
        (
            ["main", "--rows", "contrst"],
            "there is no row 'contrst' in main; did you mean 'contrast'?",
        ),
        (["main", "--rows", "zzz"], "there is no row 'zzz' in main; name one of those that --list"),
        (["--seeds"], "no seeds were given; name at least one"),
        (["--seeds", "10"], "seed 10 belongs to the test people, and validation asks for it"),
        (["--split", "test", "--seeds", "1"], "seed 1 belongs to the validation people"),
        (["--jobs", "0"], "--jobs is 0; it must be at least 1"),
        (["--no-runs", "--bootstrap", "1"], "--bootstrap is 1; at least 2 resamples are needed"),
    ],
)
def test_bad_requests_end_in_one_sentence(folder, capsys, words, said):
    assert benchmark(folder, *words) == 2
    error = capsys.readouterr().err
    assert f"arcface-fair: {said}" in error


def test_folder_of_another_version_and_broken_json_are_refused(tmp_path, capsys):
    write_json(tmp_path / "old" / "benchmark.json", {"format": 7, "opened": {}})
    assert benchmark(tmp_path / "old") == 2
    assert "made by a version with format 7" in capsys.readouterr().err
    (tmp_path / "r.json").write_text("{")
    assert main(["benchmark", "--from", str(tmp_path / "r.json")]) == 2
    assert "r.json is not whole JSON" in capsys.readouterr().err


def test_unknown_suite_of_a_results_file_is_refused(folder, tmp_path, capsys):
    results = tmp_path / "r.json"
    benchmark(folder, "--split", "test", "--no-runs", "--json", results)
    assert main(["benchmark", "best", "--from", str(results)]) == 2
    assert "the results hold no suite 'best'" in capsys.readouterr().err


def test_python_m_studies_is_the_same_command(tmp_path):
    words = [sys.executable, "-m", "studies", "--list", "--folder", str(tmp_path / "none")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "main: 16 rows" in done.stdout


def test_the_command_works_from_any_folder(tmp_path):
    words = [sys.executable, "-m", "arcface_fair", "benchmark", "--list", "--folder", "none"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert "main: 16 rows" in done.stdout


def test_an_installed_package_says_where_the_studies_live(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(arcface_fair, "__file__", str(tmp_path / "arcface_fair" / "__init__.py"))
    assert main(["benchmark", "--quick"]) == 2
    assert capsys.readouterr().err == (
        "arcface-fair: the benchmark is not part of the installed package: clone the repository of "
        "arcface-fair and run `python -m studies` (or `make study`) in it\n"
    )


def test_the_wheel_leaves_the_studies_out():
    text = (ROOT / "setup.py").read_text()
    patterns = re.search(r"include=\[(.*?)\]", text, re.S)[1]
    shipped = find_packages(str(ROOT), include=re.findall(r'"(.*?)"', patterns))
    assert {"arcface_fair.head", "contrast_plugin"} <= set(shipped)
    assert not [name for name in shipped if name.startswith(("studies", "benchmarks", "tests"))]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_quick_form_finds_the_gap_and_what_closes_it(tmp_path):
    """Loose bounds, on two seeds; the full table is what counts."""
    results = tmp_path / "r.json"
    assert benchmark(tmp_path / "quick", "--quick", "--json", results) == 0
    found = read_results(results)

    def gain(row, other, figure):
        a, b = (found.figure(name, "validation", figure) for name in (row, other))
        return 100 * (sum(a.values()) - sum(b.values())) / 2

    assert gain("ceiling", "arcface", "worst") >= 8
    assert gain("contrast", "arcface", "mean") >= 2
    assert gain("contrast", "arcface", "worst") >= 4
    assert gain("contrast", "contrast_rolled", "mean") >= 4
    for record_ in found.records("contrast", "validation").values():
        assert record_["traces"]["contrast"]["acts"]
        assert record_["traces"]["contrast"]["gap_difference"] >= 0.15
        assert record_["diagnosis"]["map"]["auc_context"] >= 0.65
