# SPDX-License-Identifier: MIT
"""One run of the benchmark, a process of its own: train, judge, keep what is small.

    python -m studies.job FOLDER KEY

reads FOLDER/jobs/KEY.json and ends by writing FOLDER/runs/KEY.json, whole, as its last act but
the diagnosis. Whatever ends it before leaves nothing that counts.
"""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from easydict import EasyDict
from filelock import FileLock

from arcface_fair.errors import UserError
from drawn_faces import World
from studies import protocol
from studies.folder import Finished, Folder, Record, read_json, write_json
from studies.plan import FORMAT, PROTOCOL, Run
from studies.plugin_outputs import traces
from studies.provenance import made
from studies.worlds import drawn, fingerprint, sample

CENTRES = "state_dict_softmax_fc"
LOSS = re.compile(r"epoch (\d+) loss ([-+.\deinfa]+)")


def specification(run: Run) -> Record:
    """What a job is told."""
    return {
        "format": FORMAT,
        "key": run.key,
        "config": run.settings.config,
        "world": asdict(run.world),
        "held_out": asdict(run.held_out),
        "record": {
            "settings": run.settings.digest,
            "decisive": run.settings.decisive,
            "seed": run.seed,
            "split": run.split,
            "protocol": PROTOCOL,
        },
    }


def work(folder: Folder, key: str) -> None:
    """The whole run, unless another process has finished it meanwhile."""
    with FileLock(folder.path / "work" / f"{key}.lock"):
        if not folder.finished(key):
            told = read_json(folder.job_file(key))
            _run(folder, key, told)
        diagnose(folder, key)
    folder.job_file(key).unlink(missing_ok=True)


def _run(folder: Folder, key: str, told: Record) -> None:
    world, held_out = World(**told["world"]), World(**told["held_out"])
    faces, unseen = drawn(world, folder.worlds), drawn(held_out, folder.worlds)
    output = folder.work(key)
    shutil.rmtree(output, ignore_errors=True)
    begun = made()
    training = _timed(lambda: _train(told, faces, output))
    measuring = _timed(lambda: _judge(folder, key, held_out, unseen, output))
    record = {
        "format": FORMAT,
        "key": key,
        **told["record"],
        "measured": measuring["value"],
        "training": {"loss": last_loss(output / "training.log")},
        "cost": {
            f"{name}_{unit}": round(part[unit], 2)
            for name, part in (("train", training), ("measure", measuring))
            for unit in ("wall_s", "cpu_s")
        },
        "traces": traces(output),
        "diagnosis": {},
        "drawn": {
            "faces": fingerprint(faces), "unseen": fingerprint(unseen), "sample": sample(world),
        },
        "made": begun,
    }  # fmt: skip
    _keep(output, folder.kept(key))
    write_json(folder.kept(key) / "told.json", told)
    write_json(folder.run_file(key), record)
    shutil.rmtree(output, ignore_errors=True)


def _train(told: Record, faces: Path, output: Path) -> None:
    from arcface_fair.hosts.embedded import train

    config = EasyDict(told["config"])
    config.update(
        {
            "rec": str(faces), "output": str(output), "seed": told["record"]["seed"],
            "verbose": 1_000_000, "save_all_states": True, "num_workers": 0,
        }
    )  # fmt: skip
    train(config)


def _judge(folder: Folder, key: str, world: World, unseen: Path, output: Path) -> Record:
    from arcface_fair.data.training.dataset import open_dataset
    from arcface_fair.export import load_backbone
    from arcface_fair.run.embed import embed_bin

    data = open_dataset(unseen)
    images = np.stack([data.read(position) for position in range(data.num_images)])
    embeddings = protocol.unit_halves(embed_bin(load_backbone(output), images))
    if not np.isfinite(embeddings).all():
        raise UserError(
            "the network gives embeddings that are not finite, training has diverged; "
            "take this row out or lower its learning rate"
        )
    place = folder.embeddings(key)
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(".part.npz")
    np.savez_compressed(draft, embeddings=embeddings, identities=data.identities)
    draft.replace(place)
    return protocol.judged(protocol.compare(world, embeddings, data.identities))


def _keep(output: Path, kept: Path) -> None:
    """model.pt, the class centres, config and what plugins wrote; the rest goes."""
    from arcface_fair.run.checkpoint import (
        UPSTREAM_KEYS,
        checkpoint_path,
        read_state,
        write_atomically,
    )

    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for name in ("model.pt", "config.json", "training.log"):
        shutil.copy2(output / name, kept / name)
    for name in ("partitions", "gabn", "contrast"):
        if (output / name).is_dir():
            shutil.copytree(output / name, kept / name)
    state = read_state(checkpoint_path(output, 0))
    state = {k: state[k] if k in ("epoch", "global_step", CENTRES) else {} for k in UPSTREAM_KEYS}
    write_atomically(state, checkpoint_path(kept, 0))


def diagnose(folder: Folder, key: str, again: bool = False) -> bool:
    """Adds the diagnosis to a finished run that has none; whether there was anything to do."""
    from studies import diagnosis  # imports torch

    record = folder.record(key)
    kept = folder.kept(key)
    if record is None or not (kept / "told.json").is_file():
        return False
    if record["diagnosis"] and not again:
        return False
    told = read_json(kept / "told.json")
    world, held_out = World(**told["world"]), World(**told["held_out"])
    finished = Finished(
        key, kept, drawn(world, folder.worlds), drawn(held_out, folder.worlds), world, held_out,
        record,
    )  # fmt: skip
    record["diagnosis"] = diagnosis.diagnose(finished)
    write_json(folder.run_file(key), record)
    return True


def last_loss(log: Path) -> float | None:
    """Mean of the losses that the log holds of its last epoch."""
    found = [(int(e), float(v)) for e, v in LOSS.findall(log.read_text())]
    losses = [loss for epoch, loss in found if epoch == found[-1][0]]
    return float(np.mean(losses)) if losses and np.isfinite(losses).all() else None


def _timed(act: Callable[[], Any]) -> dict[str, Any]:
    wall, cpu = time.perf_counter(), time.process_time()
    value = act()
    return {
        "value": value,
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
    }


def main(arguments: list[str]) -> int:
    """Exit code 2 and one sentence for what a user can put right."""
    path, key = arguments
    try:
        work(Folder(Path(path)), key)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
