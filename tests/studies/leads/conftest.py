# SPDX-License-Identifier: MIT
"""The record that the leads' runs share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies.leads.runs import write_record


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_record(tmp_path_factory.mktemp("leads"))
