# SPDX-License-Identifier: MIT
"""``arcface-fair config``: every key of a run and of each installed plugin, from the dataclasses.

``docs/config.md`` is what ``--markdown`` prints.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

HELP = "list every key of a config: type, default, meaning, and the hosts that honour it"

PAGE = """\
# Every key of a config

Printed by `arcface-fair config --markdown` from the dataclasses that own the keys; do not edit.
A run's config is a file (`config.KEY = VALUE`, and `config.NAME = dict(KEY=VALUE)` for the block
of a plugin) and the command line's `--set KEY=VALUE` and `--set NAME.KEY=VALUE`. Hosts: the
embedded trainer (`arcface-fair train`), and InsightFace's arcface_torch after `arcface-fair
install`, which has no `--set`. The defaults are the embedded trainer's; arcface_torch takes those
of its own `configs/base.py`, and fp16 where `gradient_compression` is missing.
"""


class Section(NamedTuple):
    """One dataclass's keys, each a row: key, type, default, meaning, hosts."""

    title: str
    rows: list[tuple[str, str, str, str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A list to read in a terminal, or the page of the documentation."""
    parser.add_argument("--markdown", action="store_true", help="print docs/config.md")


def run(args: argparse.Namespace) -> None:
    """Prints the keys."""
    print(page() if args.markdown else listing(), end="")


def sections() -> list[Section]:
    """The run's own keys first, then each installed plugin's block, by name."""
    from arcface_fair.hosts.settings import RunSettings
    from arcface_fair.hosts.upstream.config import FIXED
    from arcface_fair.plugin.loading import announced_plugins, load_plugin_modules
    from arcface_fair.plugin.settings import describe

    def rows(settings_class: type, prefix: str) -> list[tuple[str, str, str, str, str]]:
        only = FIXED if settings_class is RunSettings else {}
        return [
            (
                f"{prefix}{key.key}",
                key.type,
                key.default,
                key.meaning,
                f"embedded; arcface_torch has {only[key.key]!r}" if key.key in only else "both",
            )
            for key in describe(settings_class)
        ]

    modules = sorted(load_plugin_modules(announced_plugins()), key=lambda module: module.NAME)
    return [
        Section("The run", rows(RunSettings, "")),
        *(
            Section(f"Plugin {module.__name__}", rows(module.Settings, f"{module.NAME}."))
            for module in modules
        ),
    ]


def ignored() -> str:
    """The sentence on keys that only arcface_torch reads."""
    from arcface_fair.hosts.settings import IGNORED_KEYS

    return (
        f"Read by arcface_torch alone, ignored by the embedded trainer: {', '.join(IGNORED_KEYS)}."
    )


def listing() -> str:
    """The keys for a terminal, two lines each."""
    lines = []
    for section in sections():
        lines.append(f"{section.title}:")
        for key, kind, default, meaning, hosts in section.rows:
            lines += [f"  {key}: {kind} = {default}  [{hosts}]", f"      {meaning}"]
    return "\n".join([*lines, ignored(), ""])


def page() -> str:
    """The keys as Markdown, a table a dataclass."""
    lines = [PAGE]
    for section in sections():
        lines += [f"## {section.title}", "", "| key | type | default | meaning | hosts |"]
        lines.append("|---|---|---|---|---|")
        for key, kind, default, meaning, hosts in section.rows:
            cells = (f"`{key}`", kind, f"`{default}`", meaning, hosts)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join([*lines, ignored(), ""])
