# SPDX-License-Identifier: MIT
"""How results were made: people, pairs, commits, versions, cost; and what must be warned of."""

from __future__ import annotations

import json
from collections import Counter

from studies.folder import Record
from studies.results import Results


def warnings(results: Results) -> list[str]:
    """Sentences that must be read before the tables."""
    sentences = [
        f"The test identities of {name} were evaluated {len(entry['again']) + 1} times with "
        f"different settings (first on {entry['date'][:10]}): its test metrics are unblinded."
        for name, entry in results.opened.items()
        if entry["again"]
    ]
    shown = _shown(results)
    commits = {run["made"]["commit"] for run in shown}
    if len(commits) > 1:
        alike = ", with the same training code" if len(_codes(shown)) == 1 else ""
        sentences.append(f"The runs were made by {len(commits)} commits{alike}, named below.")
    if dirty := sum(run["made"]["dirty"] for run in shown):
        sentences.append(f"{dirty} of {len(shown)} runs were made by files that no commit holds.")
    return sentences


def method_values(results: Results) -> dict[str, str]:
    """Command, runs, commits, versions and machine, for the page's last section."""
    shown = _shown(results)
    cpu = sum(run["cost"]["train_cpu_s"] + run["cost"]["measure_cpu_s"] for run in shown)
    return {
        "command": "arcface-fair benchmark SUITE --split test --json OUT --page OUT",
        "runs": f"{len(shown)}, {cpu / 3600:.1f} CPU hours",
        "written": results.content["made"]["date"],
        **{f"commit {name[:12]}": f"{count} runs" for name, count in _commits(shown).items()},
        **{f"training code {name}": f"{count} runs" for name, count in _codes(shown).items()},
        **_alike("versions", shown),
        **_alike("machine", shown),
    }


def settings_by_row(results: Results) -> dict[str, str]:
    """What every run config changes, and the world that it is trained on."""
    return {
        name: json.dumps(row["changes"]) + (f" in world {row['world']}")
        for name, row in results.rows.items()
        if any(row["runs"].values())
    }


def _shown(results: Results) -> list[Record]:
    return list(results.runs.values())


def _commits(runs: list[Record]) -> dict[str, int]:
    return dict(Counter(run["made"]["commit"] or "unknown" for run in runs))


def _codes(runs: list[Record]) -> dict[str, int]:
    return dict(Counter(run["made"].get("code") or "unknown" for run in runs))


def _alike(kind: str, runs: list[Record]) -> dict[str, str]:
    """What all runs say of versions or machine; where they differ, all of it."""
    found: dict[str, list[str]] = {}
    for run in runs:
        for name, value in run["made"][kind].items():
            if str(value) not in found.setdefault(name, []):
                found[name].append(str(value))
    return {name: ", ".join(values) for name, values in found.items()}
