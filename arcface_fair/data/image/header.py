# SPDX-License-Identifier: MIT
"""What an encoded image is, from its first bytes: format, size, channels; nothing is decoded."""

from __future__ import annotations

import struct
from typing import NamedTuple

# Start-of-frame markers of JPEG; C4, C8 and CC are none.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


class ImageHeader(NamedTuple):
    """format: "jpeg" or "png".  width, height: pixels.  channels: 1..4.  bits: per channel.

    rotated: the EXIF block says that the picture is not to be shown as it is stored.
    start: byte at which the blocks of the picture itself begin.
    """

    format: str
    width: int
    height: int
    channels: int
    bits: int
    rotated: bool
    start: int


def read_image_header(data: bytes) -> ImageHeader | None:
    """The header of a JPEG or PNG, or None for anything else and for a damaged one."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == _PNG and data[12:16] == b"IHDR" and len(data) >= 26:
        width, height, bits, color = struct.unpack_from(">IIBB", data, 16)
        channels = _PNG_CHANNELS.get(color, 0)
        return ImageHeader("png", width, height, channels, bits, b"eXIf" in data[:4096], 8)
    return None


def is_cut(data: bytes, header: ImageHeader) -> bool:
    """Whether the picture lacks its end mark; other bytes may follow it, as cameras write."""
    end = b"\xff\xd9" if header.format == "jpeg" else b"IEND"
    return data.rfind(end) < header.start


def _jpeg(data: bytes) -> ImageHeader | None:
    at, rotated = 2, False
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _FRAMES:
            if at + 10 > len(data):
                return None
            bits, height, width, channels = struct.unpack_from(">BHHB", data, at + 4)
            return ImageHeader("jpeg", width, height, channels, bits, rotated, at)
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            rotated = rotated or _orientation(data[at + 10 : at + 2 + length]) != 1
        at += 2 + length
    return None


def _orientation(tiff: bytes) -> int:
    """The orientation tag (0x0112) of an EXIF block; 1, upright, if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    try:
        if order is not None:
            (start,) = struct.unpack_from(order + "I", tiff, 4)
            (count,) = struct.unpack_from(order + "H", tiff, start)
            for entry in range(start + 2, start + 2 + 12 * count, 12):
                tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
                if tag == 0x0112:
                    return value
    except struct.error:
        pass
    return 1
