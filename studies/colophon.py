# SPDX-License-Identifier: MIT
"""How results were made: people, pairs, commits, versions, cost; and what must be warned of."""

from __future__ import annotations

import json
from collections import Counter

from arcface_fair.report.cells import facts
from studies.folder import Record
from studies.results import Results


def warnings(results: Results) -> list[str]:
    """Sentences that must be read before the tables."""
    said = [
        f"The test people of {name} were opened {len(entry['again']) + 1} times with different "
        f"settings (first on {entry['date'][:10]}): its test figures are no longer blind."
        for name, entry in results.opened.items()
        if entry["again"]
    ]
    shown = _shown(results)
    commits = {run["made"]["commit"] for run in shown}
    if len(commits) > 1:
        alike = ", with the same training code" if len(_codes(shown)) == 1 else ""
        said.append(f"The runs were made by {len(commits)} commits{alike}, named below.")
    if dirty := sum(run["made"]["dirty"] for run in shown):
        said.append(f"{dirty} of {len(shown)} runs were made by files that no commit holds.")
    return said


def colophon(results: Results) -> str:
    """The last section of the page."""
    shown = _shown(results)
    protocol = results.content["protocol"]
    text = (
        "<h2>How this was made</h2><p>Networks are trained on one set of drawn people and judged "
        f"on others: {protocol['per_group']} unseen people per group with {protocol['images']} "
        "photographs each, nothing planted. All genuine pairs and "
        f"{protocol['impostors']:,} impostor pairs of the same group and gender per group, both "
        "kinds weighing alike; embeddings of the image plus its mirror image; accuracy over ten "
        "folds, the threshold of each from the other nine. STD n divides by the number of groups "
        "(INV-REG's tables), STD n-1 by one less (GABN's); SER is the largest error rate over the "
        "smallest. Read these only beside mean, worst group and TPR: a network that fails "
        "everybody alike has the smallest spread. Settings are chosen on validation people, test "
        "people are met once per row; the three sets of people are disjoint. A t-interval is over "
        "people, context and start of training together.</p>"
    )
    cpu = sum(run["cost"]["train_cpu_s"] + run["cost"]["measure_cpu_s"] for run in shown)
    known = {
        "command": "arcface-fair benchmark SUITE --split test --json OUT --page OUT",
        "runs": f"{len(shown)}, {cpu / 3600:.1f} CPU hours",
        "written": results.content["made"]["date"],
        **{f"commit {name[:12]}": f"{count} runs" for name, count in _commits(shown).items()},
        **{f"training code {name}": f"{count} runs" for name, count in _codes(shown).items()},
        **_alike("versions", shown),
        **_alike("machine", shown),
    }
    return text + facts(known) + _settings(results)


def _settings(results: Results) -> str:
    rows = {
        name: json.dumps(row["changes"]) + (f" in world {row['world']}")
        for name, row in results.rows.items()
        if any(row["runs"].values())
    }
    return f"<details><summary>Settings of every row</summary>{facts(rows)}</details>"


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
