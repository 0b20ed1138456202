# SPDX-License-Identifier: MIT
"""Reads what a run left behind: partitions, record, group tables, and the networks it kept.

N images, C identities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from arcface_fair.data.groups import Attribute, GroupTable
from arcface_fair.data.training.dataset import FaceDataset, open_dataset
from arcface_fair.errors import UserError
from arcface_fair.plugin.partition import Partition, stage_files
from arcface_fair.run.folder import read_config
from arcface_fair.run.weights import find_model, load_backbone


@dataclass(frozen=True)
class Stage:
    """One partition: its number (from 1), the subset of every identity, how sure it is (0..1)."""

    number: int
    subset: Attribute
    confidence: np.ndarray

    @property
    def sizes(self) -> list[int]:
        """Identities in every subset."""
        known = self.subset.codes[self.subset.codes >= 0]
        return np.bincount(known, minlength=len(self.subset.names)).tolist()


@dataclass(frozen=True)
class PartitionedRun:
    """A run's folder, its config, its stages, and every known attribute by column name.

    ``groups`` are the columns of the group table, ``attributes`` these and those of further
    tables. ``group`` is the column by which pictures are sorted; without a table it is the
    newest stage's subset, and ``grouped`` is False.
    """

    folder: Path
    config: dict[str, Any]
    stages: list[Stage]
    groups: dict[str, Attribute]
    attributes: dict[str, Attribute]
    group_name: str
    group: Attribute
    grouped: bool
    rec: Path

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.group.codes)

    @cached_property
    def dataset(self) -> FaceDataset:
        """The images that the run was trained on."""
        if not self.rec.is_dir():
            raise UserError(
                f"the run's record {self.rec} is not here; give its folder with --rec, or run the "
                "command where the run was started"
            )
        return open_dataset(self.rec)

    def images_of(self, code: int) -> np.ndarray:
        """Positions of the images whose identity is in group ``code``."""
        return np.flatnonzero(self.group.codes[self.dataset.identities] == code)


def open_run(
    folder: str | Path,
    *,
    rec: Path | None = None,
    groups: Path | None = None,
    attributes: Sequence[Path] = (),
    group: str | None = None,
) -> PartitionedRun:
    """The run in ``folder``. Given paths win over those of its config.

    Without ``attributes``, an attributes.tsv beside the record is read. Raises UserError for a
    folder without partitions or config, for tables that do not fit, and for an unknown ``group``.
    """
    folder = Path(folder)
    files = stage_files(folder)
    if not files:
        raise UserError(
            f"{folder} has no partitions/stage_1.tsv, expected the folder of a run with learned, "
            "random or ground-truth partitions; give the run's config.output"
        )
    config = _config_of(folder)
    num_classes = int(config["num_classes"])
    stages = [_read_stage(path, number, num_classes) for number, path in files.items()]
    rec = rec or Path(str(config.get("rec", "")))
    table_path = groups or _first_file(config.get("groups"), rec / "groups.tsv")
    known = _informative(table_path, num_classes) if table_path else {}
    merged = dict(known)
    for path in attributes or [p for p in [rec / "attributes.tsv"] if p.is_file()]:
        merged |= _informative(path, num_classes)
    name = group or config.get("group_attribute") or next(iter(known), None)
    if name is not None and name not in merged:
        raise UserError(
            f"there is no group column {name!r}; known: {', '.join(merged) or 'none'}. "
            "Name one of these, or give the table that has it with --groups"
        )
    last = stages[-1]
    chosen = merged[name] if name is not None else last.subset
    title = name if name is not None else f"stage {last.number} subset"
    return PartitionedRun(
        folder, config, stages, known, merged, title, chosen, name is not None, rec
    )


def _read_stage(path: Path, number: int, num_classes: int) -> Stage:
    partition = Partition.read(path, num_classes)
    return Stage(number, Attribute.of_words(partition.words()), partition.confidence)


def _informative(path: Path, num_classes: int) -> dict[str, Attribute]:
    """The table's columns in which somebody's value is known."""
    attributes = GroupTable.read(path, num_classes).attributes
    return {name: attribute for name, attribute in attributes.items() if attribute.names}


def _config_of(folder: Path) -> dict[str, Any]:
    config = read_config(folder)
    if not isinstance(config.get("num_classes"), int):
        raise UserError(
            f"{folder / 'config.json'} names no num_classes, expected a run's config; give the "
            "output folder of a training run"
        )
    return config


def _first_file(configured: str | None, beside: Path) -> Path | None:
    if configured is not None:
        return Path(configured)
    return beside if beside.is_file() else None


_KEPT = re.compile(r"model_epoch_(\d+)\.pt")


@dataclass(frozen=True)
class Moment:
    """One network of the run. ``epoch``: the last one that it was trained for, from 0."""

    epoch: int
    weights: Path
    last: bool

    @property
    def name(self) -> str:
        """What figures call it."""
        return f"after epoch {self.epoch}" + (" (last)" if self.last else "")


def moments(folder: Path, num_epochs: int, most: int = 5) -> Iterator[Moment]:
    """The kept networks in order, at most ``most`` evenly spread, and the last one."""
    last = Moment(num_epochs - 1, folder / "model.pt", True)
    paths = {
        int(match[1]): path
        for path in folder.glob("model_epoch_*.pt")
        if (match := _KEPT.fullmatch(path.name)) and int(match[1]) < last.epoch
    }
    epochs = sorted(paths)
    if len(epochs) > most - 1:
        steps = torch.linspace(0, len(epochs) - 1, most - 1).round().long().tolist()
        epochs = [epochs[step] for step in steps]
    yield from (Moment(epoch, paths[epoch], False) for epoch in epochs)
    yield last


def backbone_of(folder: Path, moment: Moment) -> nn.Module:
    """The network in eval mode, on the CPU."""
    return load_backbone(replace(find_model(folder), weights=moment.weights))
