# SPDX-License-Identifier: MIT
"""Records of genuine MXNet 1.9.1 and ours, both ways; skipped where MXNet cannot be had."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcface_fair.data.image.images import decode, encode
from arcface_fair.data.record.dataset import RecordDataset
from arcface_fair.data.record.recordio import IndexedRecordReader, RecordHeader, pack, unpack
from arcface_fair.data.record.scan import scan_records
from arcface_fair.data.record.writer import IndexedRecordWriter, write_insightface_record
from benchmarks.mxnet_environment import NoMXNetError, mxnet_python
from tests.arcface_fair.data.conftest import face

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MAGIC = b"\x0a\x23\xd7\xce"


@pytest.fixture(scope="module")
def mxnet():
    """``mxnet(action, *paths)`` runs mxnet_side.py."""
    try:
        python = mxnet_python()
    except NoMXNetError as reason:
        pytest.skip(f"no MXNet 1.9.1: {reason}")
    script = Path(__file__).with_name("mxnet_side.py")

    def run(*arguments):
        done = subprocess.run(
            [python, script, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    return run


def cases():
    """(label or labels, id, id2, payload): multi-part, label vectors, empty and long ones."""
    rng = np.random.default_rng(0)
    words = [MAGIC, b"abcd", b"x", b"", MAGIC[:2], MAGIC[2:]]
    made = [
        (4.0, 1, 9, b"abcd" + MAGIC + b"xyz"),
        ([1.0, 2.0, 3.0], 2, 9, MAGIC + MAGIC),
        (7.0, 0xCED7230A, 9, b"a" + MAGIC + b"abc" + MAGIC + b"!"),
        ([301.0, 331.0], 0, 0, b""),
        (0.0, (1 << 40) + 3, 0, rng.bytes(300_000)),
        (np.frombuffer(MAGIC * 3, "<f4").tolist(), 5, 6, b"labels that are the magic number"),
    ]
    for n in range(300):
        payload = b"".join(words[i] for i in rng.integers(0, len(words), rng.integers(0, 12)))
        label = float(n) if n % 3 else rng.normal(size=1 + n % 4).astype("f4").tolist()
        made.append((label, n, n * n, payload))
    return made


def by_us(folder):
    with IndexedRecordWriter(folder / "ours.rec", folder / "ours.idx") as writer:
        for key, (label, id_, id2, payload) in enumerate(cases()):
            writer.write(key, pack(RecordHeader(0, label, id_, id2), payload))


def test_mxnet_reads_what_we_wrote(mxnet, tmp_path):
    by_us(tmp_path)
    mxnet("read", tmp_path / "ours.rec", tmp_path / "ours.idx", tmp_path / "out")
    got = pickle.loads((tmp_path / "out").read_bytes())
    assert len(got) == len(cases())
    for (flag, labels, *rest), (label, *expected) in zip(got, cases(), strict=True):
        assert rest == expected
        assert flag == (len(label) if isinstance(label, list) else 0)
        assert labels == (label if isinstance(label, list) else [label])


def test_both_write_the_same_bytes_and_we_read_theirs(mxnet, tmp_path):
    by_us(tmp_path)
    (tmp_path / "spec").write_bytes(pickle.dumps(cases()))
    mxnet("write", tmp_path / "theirs.rec", tmp_path / "theirs.idx", tmp_path / "spec")
    for suffix in (".rec", ".idx"):
        theirs = (tmp_path / f"theirs{suffix}").read_bytes()
        assert theirs == (tmp_path / f"ours{suffix}").read_bytes()
    reader = IndexedRecordReader(tmp_path / "theirs.rec", tmp_path / "theirs.idx")
    scanned = [stretch.record for stretch in scan_records(tmp_path / "theirs.rec")]
    assert scanned == [reader.read(key) for key in range(len(cases()))]
    for key, (label, id_, id2, payload) in enumerate(cases()):
        header, got = unpack(reader.read(key))
        assert (header.id, header.id2, got) == (id_, id2, payload)
        assert np.array_equal(np.ravel(header.label), np.ravel(np.float32(label)))


def test_images_are_decoded_identically(mxnet, tmp_path, orl):
    faces = RecordDataset(orl)
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    images = [unpack(faces.reader.read(key))[1] for key in range(1, 301, 10)]
    images += [encode(face(n), quality=q) for n in range(10) for q in (95, 75, None)]
    images += [encode(noise, quality=90), encode(noise[:111, :97], quality=60)]
    images += [cv2.imencode(".jpg", noise[..., 0])[1].tobytes()]
    (tmp_path / "spec").write_bytes(pickle.dumps(images))
    mxnet("decode", tmp_path / "spec", tmp_path / "out")
    theirs = pickle.loads((tmp_path / "out").read_bytes())
    for number, (data, (shape, content)) in enumerate(zip(images, theirs, strict=True)):
        ours = decode(data, "an image")
        assert ours.shape == shape
        assert ours.tobytes() == content, f"image {number} differs"


def test_a_packed_training_record_is_read_as_insightface_reads_it(mxnet, tmp_path):
    images = [(encode(face(n)), n // 2) for n in range(6)]
    write_insightface_record(tmp_path, images, 3)
    mxnet("read", tmp_path / "train.rec", tmp_path / "train.idx", tmp_path / "out")
    got = pickle.loads((tmp_path / "out").read_bytes())
    assert got[0][:2] == (2, [7.0, 10.0])
    assert [(labels, payload) for _, labels, _, _, payload in got[1:7]] == [
        ([float(label)], data) for data, label in images
    ]
    assert [labels for _, labels, *_ in got[7:]] == [[1.0, 3.0], [3.0, 5.0], [5.0, 7.0]]
