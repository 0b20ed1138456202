# SPDX-License-Identifier: MIT
"""The contrast as files to look at and to compute with: PNG, TensorBoard, npz.

H W height and width, K subsets.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from arcface_fair import dist
from arcface_fair.files import atomic_files
from arcface_fair.plugin.session import Session
from contrast_plugin.estimate import Contrast
from contrast_plugin.maps import SubsetMaps

_ZOOM, _LINE, _PAD = 2, 20, 6
_WHITE, _BLACK = (255, 255, 255), (20, 20, 20)
_RED, _BLUE = (38, 38, 190), (180, 95, 30)  # BGR


def write_contrast(found: Contrast, maps: SubsetMaps, session: Session) -> None:
    """``contrast/contrast.npz``, ``contrast/contrast.png`` and a picture in TensorBoard, on rank 0.

    Raises UserError on all ranks where the folder cannot be written.
    """
    with dist.failing_together():
        if dist.rank() == 0:
            _write(found, maps, session)


def _write(found: Contrast, maps: SubsetMaps, session: Session) -> None:
    folder = session.run.work_dir / "contrast"
    picture = draw_contrast(found, maps)
    done, png = cv2.imencode(".png", picture)
    assert done
    with atomic_files(folder / "contrast.npz", folder / "contrast.png") as (arrays, image):
        np.savez(
            arrays,
            map=found.map.cpu().numpy(), mask=found.mask.cpu().numpy(),
            subset=found.subset.cpu().numpy(), names=np.array(found.names),
            gap=np.array(found.gap), gap_difference=np.array(found.difference),
            doubt=np.array(found.doubt), easy=np.array(found.easy), acts=np.array(found.acts),
            why=np.array(found.why), maps=maps.maps.cpu().numpy(),
            images=maps.images.cpu().numpy(),
        )  # fmt: skip
        image.write(png.tobytes())
    rgb = np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1))
    session.log("contrast/map", torch.from_numpy(rgb))


def draw_contrast(found: Contrast, maps: SubsetMaps) -> NDArray[np.uint8]:
    """BGR picture: every subset's average face and attention, then D and what is erased.

    Attention is on one scale from black to white; D runs from blue (the others look more) over
    white to red (the easy subset looks more), the outline is D = 0.
    """
    attention = maps.maps.cpu().numpy()
    top = max(float(np.percentile(attention, 99.5)), 1e-9)
    columns = []
    for k in range(len(attention)):
        name = found.names[k]
        role = "easy" if k == found.easy else "reference"
        face = _face(maps.faces[k].cpu().numpy())
        heat = cv2.applyColorMap(
            (np.clip(attention[k] / top, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_INFERNO
        )
        columns.append(_column((f"{name} ({role})", face), (f"gap {found.gap[k]:.3f}", heat)))
    contrast = found.map.cpu().numpy()
    face = _face(maps.faces[found.easy].cpu().numpy())
    share = 100 * float(found.mask.float().mean()) if found.acts else 0.0
    columns.append(
        _column(
            ("D = easy - reference", _diverging(contrast)),
            (f"erased: {share:.0f}%", _erased(face, contrast > 0) if found.acts else face),
        )
    )
    body = np.concatenate(columns, axis=1)
    verdict = "acts" if found.acts else "does not act"
    line = f"gap difference {found.difference:.3f} +- {found.doubt:.3f}: {verdict}"
    return np.concatenate([_text(line, body.shape[1]), body])


def _face(average: NDArray[np.float32]) -> NDArray[np.uint8]:
    """BGR [H, W, 3] from RGB [3, H, W] in -1..1."""
    rgb = np.clip((average.transpose(1, 2, 0) + 1) * 127.5, 0, 255).round().astype(np.uint8)
    return np.ascontiguousarray(rgb[:, :, ::-1])


def _diverging(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    limit = max(float(np.abs(values).max()), 1e-9)
    share = np.clip(values / limit, -1, 1)[:, :, None]
    end = np.where(share > 0, np.array(_RED), np.array(_BLUE))
    return (255 + (end - 255) * np.abs(share)).round().astype(np.uint8)


def _erased(face: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The face with stripes where pixels are replaced."""
    rows, columns = np.indices(mask.shape)
    stripes = mask & ((rows + columns) % 6 < 3)
    shown = face.copy()
    shown[mask] = shown[mask] // 2 + 110
    shown[stripes] = (150, 150, 150)
    return shown


def _column(*cells: tuple[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
    parts = []
    for text, image in cells:
        large = cv2.resize(image, None, fx=_ZOOM, fy=_ZOOM, interpolation=cv2.INTER_NEAREST)
        parts += [_text(text, large.shape[1]), large]
    stack = np.concatenate(parts)
    return cv2.copyMakeBorder(  # type: ignore[return-value]
        stack, 0, _PAD, _PAD, _PAD, cv2.BORDER_CONSTANT, value=_WHITE
    )


def _text(text: str, width: int) -> NDArray[np.uint8]:
    line = np.full((_LINE, width, 3), 255, np.uint8)
    cv2.putText(line, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _BLACK, 1, cv2.LINE_AA)
    return line
