# SPDX-License-Identifier: MIT
"""The embedded trainer: reads the same configs, writes the same files as arcface_torch."""

from arcface_fair.hosts.embedded.loop import Trainer, train

__all__ = ["Trainer", "train"]
