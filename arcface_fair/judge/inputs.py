# SPDX-License-Identifier: MIT
"""Models and verification sets: what turns images into embeddings, and what it is judged on.

Sets are kept encoded and decoded block by block. N images, P pairs, D embedding size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from arcface_fair.data.sets.bins import decode_bin, load_bin
from arcface_fair.errors import UserError
from arcface_fair.evaluation.comparisons import Comparisons, people_of_pairs
from arcface_fair.export import find_model, load_backbone
from arcface_fair.export.runtime import OnnxEmbedder
from arcface_fair.files import sha256
from arcface_fair.run.embed import embed_batches, embed_bin

Embed = Callable[[NDArray[np.uint8], Callable[[int], object]], NDArray[np.float32]]
"""Embeddings [N, D] of uint8 RGB images [N, 112, 112, 3]; calls its second argument with the number
of images done."""
Sets = Mapping[str, tuple[NDArray[np.uint8], NDArray[np.bool_] | None]]
"""By group: images uint8 RGB [N, 112, 112, 3], and whether pair i (images 2i, 2i + 1) is of one
person; None for images without pairs."""

BLOCK = 512  # images decoded at a time


@dataclass(frozen=True)
class VerificationSet:
    """One group's ``.bin``: 2P encoded images, bool [P], who is in each pair as far as it tells."""

    path: Path
    images: list[bytes]
    same: NDArray[np.bool_]
    people: NDArray[np.int64]
    notes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> VerificationSet:
        """Raises UserError if the file cannot be read."""
        images, same = load_bin(path)
        people, notes = people_of_pairs(images, same)
        return cls(path, images, same, people, notes)

    def compare(self, embed: Embed, on_images: Callable[[int], object]) -> Comparisons:
        """The model's comparisons. Images that stand in several pairs are embedded once."""
        place: dict[bytes, int] = {}
        which = np.array([place.setdefault(image, len(place)) for image in self.images])
        different = list(place)
        parts = []
        for start in range(0, len(different), BLOCK):
            faces = decode_bin(different[start : start + BLOCK], f"{self.path} (from {start} on)")
            parts.append(embed(faces, on_images))
        rows = np.concatenate(parts)[which]
        return Comparisons.of_embeddings(rows[0::2], rows[1::2], self.same, self.people, self.notes)

    def source(self) -> str:
        """The file's path and SHA-256, and how it was drawn where ``world.json`` tells."""
        source = f"{self.path}, SHA-256 {sha256(self.path)}"
        world = self.path.parent / "world.json"
        if not world.is_file():
            return source
        return f"{source}; faces drawn by `arcface-fair synthesize`: {_one_line(world)}"


def read_verification_sets(bins: Iterable[Path]) -> dict[str, VerificationSet]:
    """Sets by group. Raises UserError for two of one name."""
    sets: dict[str, VerificationSet] = {}
    for path in bins:
        name = group_name(path)
        if name in sets:
            raise UserError(f"two verification sets are named {name!r}; rename one of the files")
        sets[name] = VerificationSet.read(path)
    return sets


def read_sets(bins: Iterable[Path]) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Decoded images and same-or-not by group. Raises UserError for two sets of one name."""
    sets = read_verification_sets(bins)
    return {n: (decode_bin(one.images, str(one.path)), one.same) for n, one in sets.items()}


def bins_of_run(model: Path) -> list[Path]:
    """The verification sets that the config of a model's run names."""
    config = {} if model.suffix == ".onnx" else find_model(model).config
    names = config.get("val_targets")
    if not names or "rec" not in config:
        raise UserError(
            f"no --bins were given, and {model} has no config.json with val_targets beside it; "
            "give one verification .bin per group"
        )
    return [Path(config["rec"]) / f"{name}.bin" for name in names]


def group_name(path: Path) -> str:
    """The group in a file's name: rfw_african.bin and African_test.bin are african and African."""
    return path.stem.removeprefix("rfw_").removesuffix("_test")


def _one_line(path: Path) -> str:
    """A small JSON file without its line breaks, cut where it is long."""
    text = " ".join(path.read_text(errors="replace").split())
    return text if len(text) <= 600 else f"{text[:600]} ..."


# Operations that move or scale pixels. One that comes first hints at a graph that normalises.
NORMALISING = ("Sub", "Add", "Mul", "Div", "BatchNormalization")


def names_of(models: list[str]) -> list[str]:
    """Short names for the table's rows, whole paths where short ones would be equal."""
    short = [Path(model).stem if Path(model).is_file() else Path(model).name for model in models]
    names = short if len(set(short)) == len(short) else models
    if len(set(names)) < len(names):
        raise UserError(f"{models[0]} is given twice; give different models to compare")
    return names


def choose_device(wanted: str) -> str:
    """`wanted`, or for auto the GPU where there is one."""
    available = torch.cuda.is_available()
    if wanted == "auto":
        return "cuda" if available else "cpu"
    if wanted != "cpu" and not (available and wanted.startswith("cuda")):
        raise UserError(f"--device is {wanted!r}, which torch does not find; use auto or cpu")
    return wanted


def embedder(
    model: str,
    device: str = "auto",
    batch_size: int = 64,
    network: str | None = None,
    embedding_size: int | None = None,
) -> tuple[Embed, dict[str, str]]:
    """What turns images into embeddings for this model, and metadata about it in words.

    model: run folder, .pt file or .onnx file; network, embedding_size: of a bare .pt file, where
    they do not follow from it. Metadata "warning" is what the report must say aloud.
    """
    device, size = choose_device(device), batch_size
    if model.lower().endswith(".onnx"):
        onnx = OnnxEmbedder(model, device)
        metadata = {"file": model, "SHA-256": sha256(Path(model)), **onnx_metadata(Path(model))}
        return (lambda images, done: embed_batches(onnx, images, size, done)), metadata
    trained = find_model(model, network, embedding_size)
    backbone = load_backbone(trained).to(device)
    metadata = {"file": str(trained.weights), "SHA-256": sha256(trained.weights)}
    metadata |= {"network": trained.network} if trained.network else {}
    metadata["input"] = "RGB 112 x 112, (x - 127.5) / 127.5"
    return (
        lambda images, done: embed_bin(backbone, images, device, size, on_images=done)
    ), metadata


def onnx_metadata(path: Path) -> dict[str, str]:
    """How InsightFace's rule normalises the input of this file, and whether that may be wrong."""
    import onnx  # of the `deploy` extra

    nodes = onnx.load(str(path)).graph.node[:8]
    names = [node.name for node in nodes]
    inside = _starts(names, "Sub", "_minus") and _starts(names, "Mul", "_mul")
    if inside:
        return {"input": "RGB 112 x 112, raw: names of the first nodes say that the graph "
                "normalises"}  # fmt: skip
    metadata = {"input": "RGB 112 x 112, (x - 127.5) / 127.5"}
    if nodes and nodes[0].op_type in NORMALISING:
        metadata["warning"] = (
            f"{path.name} begins with {nodes[0].op_type}, as a graph does that normalises its "
            "input; by its node names InsightFace's loaders normalise as well. If so, these are "
            "the figures that they would get, and not the model's own"
        )
    return metadata


def _starts(names: list[str], *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in names)
