# SPDX-License-Identifier: MIT
"""Puts an exported model beside a detector, in a folder that InsightFace opens as a model pack.

FaceAnalysis wants a detector and takes, of several recognisers in a folder without a manifest, the
first by name without a word; files in sub-folders it does not see. So the folder is looked through
by its rules (insightface 2.1, model_zoo.py) before anything is written. Two schemas share the name
manifest.json: the package's V2, and the V1 of InsightFace Server, which refuses V2.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from arcface_fair.errors import UserError
from arcface_fair.files import atomic_files, sha256
from arcface_fair.optional import require

RECOGNISER = "recognition.onnx"
MANIFEST, LICENCE, NOTE = "manifest.json", "MODEL.LICENSE", "LICENCE-NOTE.txt"
LICENCE_NOTE = """\
InsightFace Server starts a model only with a file MODEL.LICENSE that InsightFace has signed for
exactly this model_id. None is written here, because none can be made here. Two ways are open: ask
InsightFace for a licence of a private model, or build your own image of the server (its source is
MIT) with your own public key among its trusted keys, and sign the licence yourself.
Do not name the model after one of InsightFace's packs to pass the check: that would misstate where
the model comes from and what licence it has. The Python package needs no such file.
"""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_THEIRS = ("buffalo", "antelope", "raccoon")


@dataclass(frozen=True)
class Pack:
    """A folder that may take a recogniser: it holds one detector and no other recogniser."""

    folder: Path
    detector: Path  # in the folder, or to be copied there
    model_id: str

    @property
    def recogniser(self) -> Path:
        """Where the exported model goes."""
        return self.folder / RECOGNISER


def plan_pack(folder: Path, detector: Path | None, model_id: str) -> Pack:
    """What `folder` would become; nothing is written yet.

    detector: a file to copy there; None: one is there already. Raises UserError where there is no
    detector or more than one, where another recogniser or a foreign manifest lies, for a damaged
    ONNX file, and for a model_id that InsightFace refuses or uses itself.
    """
    _check_id(model_id)
    tasks = {path: task_of(path) for path in sorted(folder.glob("*.onnx"))}
    for path, task in tasks.items():
        if task == "recognition" and path.name != RECOGNISER:
            raise UserError(
                f"{path} is a recogniser too, and InsightFace silently takes the first by name; "
                "move it away, or choose another folder with --detector"
            )
    _check_manifest(folder / MANIFEST, model_id)
    detectors = [path for path, task in tasks.items() if task == "detection"]
    if detector is not None:
        if task_of(detector) != "detection":
            raise UserError(
                f"{detector} is no face detector (InsightFace knows one by 5 outputs or more); "
                "give the detector of a pack, such as det_10g.onnx"
            )
        detectors = [path for path in detectors if path.name != detector.name] + [detector]
    if len(detectors) != 1:
        names = ", ".join(path.name for path in detectors) or "none"
        raise UserError(
            f"FaceAnalysis needs one detector beside the recogniser, and {folder} would hold "
            f"{names}; give --detector FILE (det_10g.onnx of your InsightFace pack, for example) "
            "and a folder without another"
        )
    return Pack(folder, detectors[0], model_id)


def write_pack(pack: Pack, *, schema: Literal["package", "server"], version: str = "") -> Path:
    """Completes the folder, whose recogniser is already written, and returns the manifest's path.

    schema: "package" for FaceAnalysis (V2), "server" for InsightFace Server (V1, with a note on
    the licence that the server wants). version: the server's model_version; empty: the first 12
    hex digits of the recogniser's SHA-256. Raises UserError where a file cannot be written.
    """
    placed = pack.folder / pack.detector.name
    try:
        if not placed.exists() or not placed.samefile(pack.detector):
            shutil.copyfile(pack.detector, placed)
    except OSError as error:
        raise UserError(
            f"{placed} cannot be written ({error.strerror or error}); "
            "choose a folder that can be written and has room"
        ) from error
    manifest = _package(pack) if schema == "package" else _server(pack, version)
    path = pack.folder / MANIFEST
    with atomic_files(path) as (file,):
        file.write(json.dumps(manifest, indent=2).encode() + b"\n")
    if schema == "server":
        with atomic_files(pack.folder / NOTE) as (file,):
            file.write(LICENCE_NOTE.encode())
    return path


def task_of(path: Path) -> str | None:
    """What InsightFace takes the file for: detection, recognition, ... or None.

    Raises UserError for a file that is missing or no ONNX model.
    """
    onnx = require("onnx")
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's and the file system's errors have no common family
        raise UserError(
            f"{path} cannot be read as an ONNX model ({type(error).__name__}); "
            "copy the file again, or move it away"
        ) from error
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(graph.output) >= 5:
        return "detection"
    if not inputs or not graph.output:
        raise UserError(
            f"{path} holds no model with an input and an output; copy the file again, or move it "
            "away"
        )
    sides = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim][2:4]
    if len(sides) < 2 or sides[0] != sides[1]:
        return None
    known = {192: "landmark", 96: "attribute"}
    if sides[0] in known:
        return known[sides[0]]
    if len(inputs) == 2 and sides[0] == 128:
        return "swapper"
    return "recognition" if sides[0] >= 112 and sides[0] % 16 == 0 else None


def _check_id(model_id: str) -> None:
    if not _ID.fullmatch(model_id):
        raise UserError(
            f"the model id {model_id!r} is not one that InsightFace accepts (letters, digits, "
            "'.', '_' and '-', at most 128); give another with --model-id"
        )
    if model_id.lower().startswith(_THEIRS):
        raise UserError(
            f"the model id {model_id!r} is that of one of InsightFace's own packs, which would "
            "misstate where the model comes from; give another with --model-id"
        )


def _check_manifest(path: Path, model_id: str) -> None:
    if not path.exists():
        return
    try:
        package = json.loads(path.read_text())
        owner = package.get("model_id")
    except (OSError, ValueError, AttributeError):
        owner = None
    if owner != model_id:
        raise UserError(
            f"{path} belongs to the pack {owner!r}, not to {model_id!r}; choose another folder, "
            "or give the same --model-id"
        )


def _properties(path: Path) -> tuple[str, int]:
    """SHA-256 and the embedding size."""
    (output,) = require("onnx").load(str(path)).graph.output
    size = output.type.tensor_type.shape.dim[1].dim_value
    return sha256(path), size


def _package(pack: Pack) -> dict[str, Any]:
    digest, size = _properties(pack.recogniser)
    detector = pack.folder / pack.detector.name
    return {
        "manifest_version": 2,
        "model_id": pack.model_id,
        "license": LICENCE,
        "tasks": {
            "detection": {
                "file": detector.name,
                "sha256": sha256(detector),
            },
            "recognition": {
                "file": RECOGNISER,
                "sha256": digest,
                "preprocessing": {"mean": 127.5, "std": 127.5},
                "input_size": [112, 112],
                "embedding_dimension": size,
                "preprocessing_version": "insightface-arcface-1",
            },
        },
    }


def _server(pack: Pack, version: str) -> dict[str, Any]:
    digest, size = _properties(pack.recogniser)
    return {
        "manifest_version": 1,
        "model_id": pack.model_id,
        "model_version": version or digest[:12],
        "display_name": pack.model_id,
        "files": {"detector": pack.detector.name, "recognizer": RECOGNISER},
        "recognition": {
            "input_size": [112, 112],
            "embedding_dimension": size,
            "preprocessing": "insightface-arcface-1",
        },
        "license": LICENCE,
    }
