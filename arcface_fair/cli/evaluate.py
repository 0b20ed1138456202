# SPDX-License-Identifier: MIT
"""``arcface-fair evaluate MODEL [MODEL]``: how groups fare, in a table, a page, JSON and CSV.

How a report was made: command, time, versions, data; and pictures that lie beside a run.

The report for a terminal.
"""

from __future__ import annotations

import argparse
import datetime
import math
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from tqdm import tqdm

from arcface_fair.errors import UserError
from arcface_fair.evaluation.all_pairs import AllPairs
from arcface_fair.evaluation.comparisons import Comparisons
from arcface_fair.evaluation.groups import group_table, side_by_side
from arcface_fair.evaluation.metrics import METRICS, Metric, Protocol, headline, tpr_metric
from arcface_fair.evaluation.resampling import Estimate
from arcface_fair.evaluation.text import text_table, two_digits
from arcface_fair.judge.inputs import bins_of_run, embedder, names_of, read_verification_sets
from arcface_fair.judge.protocols import compare_sets, judge_all_pairs, judge_ijb
from arcface_fair.report import Report, build_report, write_csv, write_html, write_json
from arcface_fair.report.content import pair_notes

PACKAGES = ("numpy", "torch", "onnxruntime", "scikit-learn", "fairlearn", "matplotlib")
# Where `arcface-fair maps` and `arcface-fair partitions` put their pictures.
PICTURES = {"maps": "attention maps", "partitions": "partitions"}


def run_metadata(sets: Mapping[str, str]) -> dict[str, str]:
    """Names and values for the page's last section."""
    import arcface_fair

    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            versions.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            continue
    return {
        "command": shlex.join(["arcface-fair", *sys.argv[1:]]),
        "made": now,
        "arcface-fair": arcface_fair.__version__,
        "versions": ", ".join(versions),
        **{f"set {name}": text for name, text in sets.items()},
    }


def figures_of_runs(models: list[str]) -> tuple[tuple[str, bytes], ...]:
    """Pictures of attention and partitions, and the plugins' own, in a model's run folder."""
    from arcface_fair.plugin.figures import read_figures

    pictures = []
    for model in models:
        folder = Path(model) if Path(model).is_dir() else Path(model).parent
        for name, what in PICTURES.items():
            for picture in sorted((folder / name).glob("*.png")):
                pictures.append((f"{folder.name}, {what}: {picture.stem}", picture.read_bytes()))
        for figure in read_figures(folder):
            title = f"{folder.name}, {figure.caption}"
            pictures.append((title, (folder / figure.path).read_bytes()))
    return tuple(pictures)


SPREADS = ("FMR max/min", "FNMR max/min", "FDR", "GARBE", "inequity rate")


def intervals(report: Report) -> str:
    """The metrics over all groups with their intervals, models below each other."""
    names = headline(report.protocol)
    lines = [
        [model.name, *(_shown(report.metrics[name], model.estimates[name]) for name in names)]
        for model in report.models
    ]
    if report.differences:
        shown = (
            _shown(report.metrics[name], report.differences[name], signed=True) for name in names
        )
        lines.append(["difference", *shown])
    return text_table([f"{report.level:.0%} intervals", *names], lines)


def at_one_threshold(report: Report) -> str:
    """FMR and FNMR per group where `Protocol.fmr` of all impostors are accepted."""
    heads = [f"FMR / FNMR, % at FMR {report.protocol.fmr:g} of all", *report.groups, *SPREADS]
    lines = []
    for model in report.models:
        rates = [
            " / ".join(
                two_digits(100 * model.estimates[METRICS[rate].of(group).key].value)
                for rate in ("fmr", "fnmr")
            )
            for group in report.groups
        ]
        lines.append(
            [model.name, *rates, *(two_digits(model.estimates[name].value) for name in SPREADS)]
        )
    return text_table(heads, lines) + "\n"


def all_pairs_text(name: str, pairs: AllPairs) -> str:
    """TPR at each FPR by scope, with counts; notes below."""
    rates = pairs.scopes[0].rates
    heads = [f"{name}: all pairs", "images", "people", "impostors"]
    heads += [f"TPR, % at {rate.fpr:g}" for rate in rates]
    lines = [
        [scope.name, scope.images, scope.people, scope.impostor,
         *(_shown(tpr_metric(rate.fpr), rate.tpr) for rate in scope.rates)]
        for scope in pairs.scopes
    ]  # fmt: skip
    said = [f"- {sentence}" for sentence in pair_notes(pairs)]
    return "\n".join([text_table(heads, lines), *said]) + "\n"


def _shown(metric: Metric, estimate: Estimate, signed: bool = False) -> str:
    value, low, high = (
        two_digits(metric.shown(number), signed)
        for number in (estimate.value, estimate.low, estimate.high)
    )
    return value if math.isnan(estimate.low) else f"{value} [{low}, {high}]"


HELP = "measure a model group by group: accuracy, TPR, error rates, intervals, a report"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One model gives a table; two give the tables side by side with their difference."""
    parser.add_argument(
        "models", nargs="+", metavar="MODEL", help="run folder, .pt backbone, or InsightFace .onnx"
    )
    data = parser.add_argument_group("on what")
    data.add_argument("--bins", nargs="+", type=Path, help="one verification .bin per group")
    data.add_argument("--record", type=Path, help="record or image folder: all pairs of its images")
    data.add_argument("--groups", type=Path, help="its group table (default: groups.tsv in it)")
    data.add_argument(
        "--attribute", nargs="+", help="column of that table; several: their intersections"
    )
    data.add_argument("--ijb", type=Path, help="folder of IJB-B or IJB-C")
    points = parser.add_argument_group("operating points")
    points.add_argument("--fpr", nargs="+", type=float, default=[1e-2], help="of TPRs on --bins")
    points.add_argument("--fmr", type=float, default=1e-2, help="of the one threshold of all")
    points.add_argument(
        "--pairs-fpr", nargs="+", type=float, default=[1e-6, 1e-5, 1e-4], help="of --record"
    )
    points.add_argument("--alpha", type=float, default=0.5, help="FMR's weight in FDR, GARBE, IR")
    points.add_argument("--resamples", type=int, default=1000, help="behind each interval")
    points.add_argument("--level", type=float, default=0.95, help="of intervals")
    points.add_argument("--seed", type=int, default=0, help="of resamples")
    out = parser.add_argument_group("what to write")
    out.add_argument("--html", type=Path, metavar="OUT", help="a page that opens offline")
    out.add_argument("--json", type=Path, metavar="OUT", help="every figure")
    out.add_argument("--csv", type=Path, metavar="OUT", help="one figure per line")
    out.add_argument("--title", default="Fairness report", help="of the page")
    model = parser.add_argument_group("the model")
    model.add_argument("--network", help="network of a bare .pt file whose weights fit several")
    model.add_argument("--embedding-size", type=int, help="features per face of a bare .pt file")
    model.add_argument("--batch-size", type=int, default=64, help="images at a time")
    model.add_argument("--device", default="auto", help="auto (default) | cpu | cuda | cuda:1")


def run(args: argparse.Namespace) -> None:
    """Prints tables; writes the files asked for."""
    _check(args)
    names = names_of(args.models)
    only_others = args.bins is None and (args.record or args.ijb)
    bins = [] if only_others else args.bins or bins_of_run(Path(args.models[0]))
    sets = read_verification_sets(bins)
    judged: dict[str, dict[str, Comparisons]] = {}
    metadata: dict[str, dict[str, str]] = {}
    pairs: dict[str, AllPairs] = {}
    for name, model in zip(names, args.models, strict=True):
        embed, metadata[name] = embedder(
            model, args.device, args.batch_size, args.network, args.embedding_size
        )
        if sets:
            judged[name] = compare_sets(embed, sets, name)
        if args.record:
            pairs[name] = judge_all_pairs(
                embed, args.record, name, fprs=args.pairs_fpr, groups=args.groups,
                attributes=args.attribute or (), device=args.device, resamples=args.resamples,
                level=args.level, seed=args.seed,
            )  # fmt: skip
            print(all_pairs_text(name, pairs[name]))
        if args.ijb:
            print(text_table(*judge_ijb(embed, args.ijb, name)))
    if not sets:
        _refuse_files(args)
        return
    report = _report(args, judged, metadata, {n: s.source() for n, s in sets.items()}, pairs)
    _tell(report)
    _write(report, args)


def _check(args: argparse.Namespace) -> None:
    if args.batch_size < 1:
        raise UserError(f"--batch-size is {args.batch_size}; it must be at least 1, 64 is usual")
    if (args.groups or args.attribute) and not args.record:
        raise UserError("--groups and --attribute belong to --record; name the record as well")


def _refuse_files(args: argparse.Namespace) -> None:
    if args.html or args.csv or args.json:
        raise UserError(
            "--html, --json and --csv need verification sets, and there are none; add --bins"
        )


def _report(
    args: argparse.Namespace,
    judged: Mapping[str, Mapping[str, Comparisons]],
    metadata: Mapping[str, Mapping[str, str]],
    sets: Mapping[str, str],
    pairs: Mapping[str, AllPairs],
) -> Report:
    total = args.resamples * len(judged)
    with tqdm(total=total, desc="intervals", unit="draws", leave=False) as bar:
        report = build_report(
            judged,
            Protocol(tuple(args.fpr), args.fmr, args.alpha),
            title=args.title,
            resamples=args.resamples,
            level=args.level,
            seed=args.seed,
            metadata=run_metadata(sets),
            model_facts=metadata,
            figures=figures_of_runs(args.models),
            on_resamples=bar.update,
        )
    warned = tuple(f"{text}." for known in metadata.values() if (text := known.get("warning")))
    models = tuple(replace(m, all_pairs=pairs.get(m.name)) for m in report.models)
    return replace(report, models=models, warnings=(*report.warnings, *warned))


def _tell(report: Report) -> None:
    """The tables of accuracy and TPR, the figures at one threshold, and what must be said."""
    fpr = report.protocol.fprs[0]
    tables = {
        model.name: group_table({n: (g.distances, g.same) for n, g in model.groups.items()}, fpr)
        for model in report.models
    }
    print(side_by_side(tables))
    print(f"\n{intervals(report)}\n\n{at_one_threshold(report)}")
    for sentence in report.warnings:
        print(f"- {sentence}")


def _write(report: Report, args: argparse.Namespace) -> None:
    for path, write in ((args.html, write_html), (args.json, write_json), (args.csv, write_csv)):
        if path:
            print(f"wrote {write(report, path)}")
