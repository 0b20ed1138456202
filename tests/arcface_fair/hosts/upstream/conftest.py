# SPDX-License-Identifier: MIT
"""A small record, a config as arcface_torch makes one, and a clean slate after each test."""

from __future__ import annotations

import sys

import pytest
from easydict import EasyDict

from arcface_fair.hosts.upstream import config as module
from tests.small_data import write_small_record


@pytest.fixture(scope="session")
def record(tmp_path_factory):
    return write_small_record(tmp_path_factory.mktemp("record"))


@pytest.fixture
def cfg(record, tmp_path):
    return EasyDict(
        rec=str(record), output=str(tmp_path / "run"), network="tiny", embedding_size=16,
        num_classes=None, num_image=None, batch_size=8, num_epoch=2, lr=0.1, seed=3,
        margin_list=(1.0, 0.5, 0.0), fp16=False, sample_rate=1, gradient_acc=1, frequent=1,
        interclass_filtering_threshold=0, num_workers=0, dali=False, using_wandb=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setattr(module, "_current", module.Configured())
