# SPDX-License-Identifier: MIT
"""``arcface-fair doctor [DIR]``: what is installed, on what it runs, whether data are there."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "report versions, devices, the install in a folder, a config's data, the head's memory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All optional: each adds a part to the report."""
    parser.add_argument("folder", type=Path, nargs="?", help="arcface_torch, or InsightFace's root")
    parser.add_argument("--config", help="configs/NAME, a shipped NAME, or a file: check its data")
    parser.add_argument("--classes", type=int, help="C of the head whose memory is estimated")
    parser.add_argument("--batch", type=int, help="images per process and step (default: 128)")
    parser.add_argument("--size", type=int, help="embedding size D (default: 512)")
    parser.add_argument("--world", type=int, default=8, help="processes (default: 8)")


def run(args: argparse.Namespace) -> int:
    """Prints the report; 1 if something that was asked about is not in order."""
    from arcface_fair.cli import _doctor

    config = _doctor.read_config(args.config) if args.config else {}
    lines = _doctor.environment()
    problems: list[str] = []
    if args.folder is not None:
        fine, sentence = _doctor.install(args.folder)
        (lines if fine else problems).append(sentence)
    if args.config:
        lines_of_data, wrong = _doctor.data(config)
        lines += lines_of_data
        problems += wrong
    classes = args.classes or config.get("num_classes")
    if classes:
        lines += _doctor.memory(
            classes,
            args.batch or config.get("batch_size", 128),
            args.size or config.get("embedding_size", 512),
            args.world,
            float(config.get("sample_rate", 1.0)),
            str(config.get("optimizer", "sgd")),
        )
    for line in lines:
        print(line)
    for problem in problems:
        print(f"problem: {problem}")
    return 1 if problems else 0
