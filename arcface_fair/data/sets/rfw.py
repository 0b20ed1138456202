# SPDX-License-Identifier: MIT
"""Racial Faces in-the-Wild (RFW): its folders and lists as four verification sets.

data/RACE/PERSON/PERSON_0001.jpg
txts/RACE/RACE_pairs.txt      PERSON n m, or PERSON n OTHER m; tabs; in the order of the folds
txts/RACE/RACE_lmk.txt        path, label, x1 y1 ... x5 y5; tabs
"""

from __future__ import annotations

from pathlib import Path

from arcface_fair.data.image.crop import Crop
from arcface_fair.data.image.landmarks import Landmarks
from arcface_fair.data.sets.pair_sets import PairSet
from arcface_fair.errors import UserError

RACES = ("African", "Asian", "Caucasian", "Indian")
NAMES = {"rfw": "rfw_{}", "test": "{}_test"}  # rfw_african, and African_test


def rfw_sets(folder: str | Path, naming: str = "rfw") -> list[PairSet]:
    """One set per race that has lists, in the order of RFW's own pairs.

    naming: "rfw" for rfw_african, ... or "test" for African_test, ...
    Raises UserError for a folder that is none of RFW's, or naming the line of a list.
    """
    base = _base(Path(folder))
    sets = []
    for race in RACES:
        texts = base / "txts" / race
        if texts.is_dir():
            name = NAMES[naming].format(race.lower() if naming == "rfw" else race)
            crop = Crop(Landmarks(texts / f"{race}_lmk.txt"))
            pairs = _pairs(texts / f"{race}_pairs.txt", base / "data" / race)
            sets.append(PairSet(name, *pairs, crop))
    if not sets:
        raise UserError(
            f"{base / 'txts'} has no folder {', '.join(RACES)}; unpack RFW's archive whole"
        )
    return sets


def _base(folder: Path) -> Path:
    for base in (folder, folder / "test", folder / "images" / "test"):
        if (base / "txts").is_dir() and (base / "data").is_dir():
            return base
    raise UserError(
        f"{folder} does not hold RFW (no folders data and txts in it or in its folder test); RFW "
        "is given by its authors on request, unpack test.tar.gz and name the folder that holds it"
    )


def _pairs(path: Path, images: Path) -> tuple[list[Path], list[Path], list[bool]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise UserError(
            f"pair list {path} cannot be read ({reason}); unpack RFW's archive again"
        ) from error
    left, right, same = [], [], []
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if not cells:
            continue
        if len(cells) == 3:
            cells.insert(2, cells[0])
        if len(cells) != 4 or not (cells[1].isdigit() and cells[3].isdigit()):
            raise UserError(
                f"pair list {path}, line {number}: expected PERSON n m or PERSON n OTHER m, "
                f"found {line[:60]!r}; unpack RFW's archive again"
            )
        left.append(_image(images, cells[0], cells[1]))
        right.append(_image(images, cells[2], cells[3]))
        same.append(cells[0] == cells[2])
    if not same:
        raise UserError(f"pair list {path} is empty; unpack RFW's archive again")
    return left, right, same


def _image(images: Path, person: str, number: str) -> Path:
    return images / person / f"{person}_{int(number):04d}.jpg"
