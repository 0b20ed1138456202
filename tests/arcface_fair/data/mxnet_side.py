# SPDX-License-Identifier: MIT
"""Runs in MXNet's environment: writes and reads records as it does, for test_mxnet.

python mxnet_side.py write REC IDX SPEC     # SPEC: pickled [(label(s), id, id2, payload)]
python mxnet_side.py read REC IDX OUT       # OUT: pickled [(flag, labels, id, id2, payload)]
python mxnet_side.py decode SPEC OUT        # SPEC: pickled images, OUT: pickled RGB arrays
"""

import pickle
import sys
from pathlib import Path

import mxnet as mx


def write(rec, idx, spec):
    writer = mx.recordio.MXIndexedRecordIO(idx, rec, "w")
    for key, (label, id_, id2, payload) in enumerate(pickle.loads(Path(spec).read_bytes())):
        header = mx.recordio.IRHeader(0, label, id_, id2)
        writer.write_idx(key, mx.recordio.pack(header, payload))
    writer.close()


def read(rec, idx, out):
    reader = mx.recordio.MXIndexedRecordIO(idx, rec, "r")
    found = [reader.read_idx(key) for key in reader.keys]
    straight = mx.recordio.MXRecordIO(rec, "r")
    assert [straight.read() for _ in reader.keys] == found
    records = []
    for item in found:
        header, payload = mx.recordio.unpack(item)
        labels = [float(n) for n in header.label] if header.flag else [float(header.label)]
        records.append((header.flag, labels, header.id, header.id2, payload))
    Path(out).write_bytes(pickle.dumps(records))


def decode(spec, out):
    images = pickle.loads(Path(spec).read_bytes())
    arrays = [mx.image.imdecode(data).asnumpy() for data in images]
    Path(out).write_bytes(pickle.dumps([(a.shape, a.tobytes()) for a in arrays]))


if __name__ == "__main__":
    {"write": write, "read": read, "decode": decode}[sys.argv[1]](*sys.argv[2:])
