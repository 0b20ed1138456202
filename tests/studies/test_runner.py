# SPDX-License-Identifier: MIT
"""Runner: what is finished is never lost or made twice, and one failure stops nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from studies.folder import Folder, read_json
from studies.runner import job_command, make, missing
from tests.benchmark_stubs import run_of, stub_command

SEEDS = (10, 11, 12)
RUNS = [run_of("arcface", seed) for seed in SEEDS]


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "benchmark")


def test_every_missing_run_is_made_once(folder):
    done = []
    twice = [*RUNS, *RUNS, run_of("arcface", 10)]
    assert make(folder, twice, 2, on_done=done.append, command=stub_command({})) == []
    assert sorted(run.seed for run in done) == list(SEEDS)
    assert missing(folder, RUNS) == []


def test_finished_runs_are_not_made_again(folder):
    make(folder, RUNS[:2], 2, command=stub_command({}))
    before = [folder.run_file(run.key).stat().st_mtime_ns for run in RUNS[:2]]
    done = []
    make(folder, RUNS, 2, on_done=done.append, command=stub_command({}))
    assert [run.seed for run in done] == [12]
    assert [folder.run_file(run.key).stat().st_mtime_ns for run in RUNS[:2]] == before


def test_row_that_shares_a_run_finds_it_finished(folder):
    make(folder, [run_of("ceiling", 10)], 1, command=stub_command({}))
    assert missing(folder, [run_of("weak_ceiling", 10), run_of("none_arcface", 10)]) == []


def test_failing_run_is_named_with_its_last_line_and_others_go_on(folder):
    failed = []
    failures = make(
        folder, RUNS, 1,
        on_failed=lambda run, failure: failed.append((run.seed, failure.said)),
        command=stub_command({RUNS[0].key: "fail"}),
    )  # fmt: skip
    assert [f.key for f in failures] == [RUNS[0].key]
    assert failed == [(10, "the network gives no finite embeddings")]
    assert missing(folder, RUNS) == RUNS[:1]


def test_process_that_ends_well_without_a_result_has_failed(folder):
    (failure,) = make(folder, RUNS[:1], 1, command=stub_command({RUNS[0].key: "nothing"}))
    assert failure.said == "ended with exit code 0 and said nothing"


def test_job_is_told_everything_and_its_process_has_one_thread(folder):
    def show(path: Path, key: str) -> list[str]:
        text = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['PYTHONPATH'])"
        return [sys.executable, "-c", text]

    (failure,) = make(folder, RUNS[:1], 1, command=show)
    assert failure.said.startswith("1 ")
    told = read_json(folder.job_file(RUNS[0].key))
    assert told["key"] == RUNS[0].key
    assert told["config"]["network"] == "small"
    assert (told["world"]["seed"], told["held_out"]["split"]) == (10, "test")
    assert job_command(Path("f"), "k")[1:] == ["-m", "studies.job", "f", "k"]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_interrupt_ends_the_processes_and_keeps_what_is_done(folder, number):
    script = (
        # A job in the background of a script is started with SIGINT ignored.
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys; from pathlib import Path;"
        "from studies.folder import Folder;"
        "from studies.runner import make;"
        "from tests.benchmark_stubs import run_of, stub_command;"
        f"runs = [run_of('arcface', s) for s in {SEEDS}];"
        "make(Folder(Path(sys.argv[1])), runs, 1,"
        " command=stub_command({runs[1].key: 'hang'}))"
    )
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder.path)],
        env={**os.environ, "PYTHONPATH": root}, cwd=root, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        limit = time.monotonic() + 60
        while not (folder.path / "hanging").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert b"KeyboardInterrupt" in said
    assert missing(folder, RUNS) == RUNS[1:]
    left = subprocess.run(["pgrep", "-f", str(folder.path)], capture_output=True, check=False)
    assert left.stdout == b""
