# SPDX-License-Identifier: MIT
"""The work folder of a benchmark: where everything lies, and what counts as finished.

benchmark.json     format of the files, and the test ledger
runs/KEY.json      a finished run; written whole or not at all, and all that counts
embeddings/KEY.npz unit embeddings of the unseen people, float16
kept/KEY/          model.pt, class centres and what plugins wrote, for the diagnosis
logs/KEY.log       what the run said
worlds/            drawn people; jobs/ and work/ are of runs under way
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files
from drawn_faces.world import World
from studies.plan import FORMAT

Record = dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """What a diagnosis may look at: everything that a run leaves.

    output: its folder, with model.pt, a checkpoint that holds the class centres alone (enough
    for ``arcface_fair.run.centres.load_head``), config.json, and what plugins wrote.
    faces, held_out: folders of the people it was trained and judged on.
    """

    key: str
    output: Path
    faces: Path
    held_out: Path
    world: World
    held_out_world: World
    record: Record


class Folder:
    """One work folder. Raises UserError for one of another format, or one that is no such."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; name a folder for the benchmark with --folder")
        if not self.state_file.is_file():
            if path.is_dir() and any(path.iterdir()):
                raise UserError(
                    f"{path} holds other things than a benchmark; name a new folder with --folder"
                )
            write_json(self.state_file, {"format": FORMAT, "opened": {}})
        self.state()

    @property
    def state_file(self) -> Path:
        """Format and opened rows."""
        return self.path / "benchmark.json"

    @property
    def worlds(self) -> Path:
        """Drawn people."""
        return self.path / "worlds"

    def state(self) -> Record:
        """What ``benchmark.json`` says."""
        state = read_json(self.state_file)
        if state.get("format") != FORMAT:
            raise UserError(
                f"{self.path} was made by a version with format {state.get('format')!r}, this one "
                f"writes {FORMAT}; name another folder with --folder"
            )
        return state

    def write_state(self, state: Record) -> None:
        """Replaces ``benchmark.json``."""
        write_json(self.state_file, state)

    def run_file(self, key: str) -> Path:
        """The finished run."""
        return self.path / "runs" / f"{key}.json"

    def job_file(self, key: str) -> Path:
        """What a run under way is told."""
        return self.path / "jobs" / f"{key}.json"

    def log_file(self, key: str) -> Path:
        """What it says."""
        return self.path / "logs" / f"{key}.log"

    def work(self, key: str) -> Path:
        """Its output folder while it is under way."""
        return self.path / "work" / key

    def kept(self, key: str) -> Path:
        """What stays of that folder."""
        return self.path / "kept" / key

    def embeddings(self, key: str) -> Path:
        """Its embeddings of the unseen people."""
        return self.path / "embeddings" / f"{key}.npz"

    def finished(self, key: str) -> bool:
        """Whether the run is done."""
        return self.run_file(key).is_file()

    def record(self, key: str) -> Record | None:
        """The finished run, or None."""
        return read_json(self.run_file(key)) if self.finished(key) else None

    def records(self) -> dict[str, Record]:
        """All finished runs by key."""
        files = sorted((self.path / "runs").glob("[0-9a-f]*.json"))
        return {path.stem: read_json(path) for path in files}


def read_json(path: Path) -> Record:
    """A JSON object. Raises UserError where it cannot be read or is none."""
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; name another file") from error
    except ValueError as error:
        raise UserError(
            f"{path} is not whole JSON ({error}); remove it, and what it held is made again"
        ) from error
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no JSON object; remove it, and what it held is made again")
    return found


def write_json(path: Path, value: Record) -> None:
    """Writes ``value`` whole or not at all."""
    with atomic_files(path) as (file,):
        file.write(json.dumps(value, indent=1).encode() + b"\n")
