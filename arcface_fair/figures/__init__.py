# SPDX-License-Identifier: MIT
"""Looks at the identity partitions of a run: what they consist of, and what the network sees.

Works on files alone, whichever plugin wrote them: ``partitions/stage_N.tsv`` (a group table with
the columns subset and confidence), the run's config.json and models, and group tables.
"""

from arcface_fair.figures.run import PartitionedRun, Stage, open_run

__all__ = ["PartitionedRun", "Stage", "open_run"]
