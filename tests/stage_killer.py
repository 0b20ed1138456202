# SPDX-License-Identifier: MIT
"""A plugin for tests: kills its process inside a partition stage, for runs that are children."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from typing import Any

import invreg_plugin.hook
from arcface_fair import dist
from arcface_fair.plugin.parts import Plugin
from invreg_plugin.features import FeatureStore

NAME = "stage_killer"


@dataclass(frozen=True)
class Settings:
    inside: str = ""  # extraction: after some written batches | learning: after some steps
    after: int = 1
    rank: int = 0


def build(settings: Settings, session: Any) -> Plugin:
    """Patches this process for good; never list this plugin in the process that runs the tests."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done == settings.after and dist.rank() == settings.rank:
            os.kill(os.getpid(), signal.SIGKILL)

    write, learn = FeatureStore.write, invreg_plugin.hook.learn_partition

    def write_and_count(store: FeatureStore, *arguments: Any) -> None:
        write(store, *arguments)
        count()

    def learn_and_count(*arguments: Any, **named: Any) -> Any:
        return learn(*arguments, **{**named, "progress": lambda *_: count()})

    if settings.inside == "extraction":
        FeatureStore.write = write_and_count  # type: ignore[method-assign]
    else:
        invreg_plugin.hook.learn_partition = learn_and_count
    return Plugin(name=NAME)
