# SPDX-License-Identifier: MIT
"""InsightFace Server starts on an exported folder and finds a person again (opt-in).

Needs INSIGHTFACE_SERVER (the folder `server` of a checkout) and, installed, fastapi, httpx,
python-multipart, cryptography and rfc8785. The server runs in a scratch copy with a key of its
own among the trusted ones, as an operator's own image would; key and licence last for the test.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from insightface.utils import face_align

from arcface_fair.export import export_onnx
from arcface_fair.export.pack import plan_pack, write_pack
from tests.arcface_fair.export.conftest import trained_like
from tests.scrfd import POINTS, SIDE, write_stand_in_detector

PACKAGES = ("fastapi", "httpx", "python_multipart", "cryptography", "rfc8785")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "INSIGHTFACE_SERVER" not in os.environ,
        reason="set INSIGHTFACE_SERVER to the folder `server` of a checkout of InsightFace",
    ),
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in PACKAGES),
        reason=f"the server needs {', '.join(PACKAGES)}",
    ),
    pytest.mark.filterwarnings("ignore:.*estimate. is deprecated:FutureWarning"),
]

DRIVER = """
import json, sys
from pathlib import Path
from fastapi.testclient import TestClient
from insightface_server.app import create_app
photo = ("photo.png", Path(sys.argv[1]).read_bytes(), "image/png")
with TestClient(create_app()) as client:
    def post(path, **values):
        answer = client.post(path, **values)
        assert answer.status_code < 300, answer.text
        return answer.json()
    (face,) = post("/v1/embeddings", files={"image": photo})["faces"]
    post("/v1/collections", json={"id": "people", "name": "people"})
    post("/v1/collections/people/persons", data={"id": "one", "name": "One"},
         files={"images": photo})
    found = post("/v1/collections/people/search", files={"image": photo})
print("ANSWER " + json.dumps({"embedding": face["embedding"], "search": found}))
"""


def write_licence(server: Path, models: Path, model_id: str) -> None:
    """A licence by a key that only this scratch copy of the server trusts."""
    import base64

    import rfc8785
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    trusted = server / "backend/insightface_server/licensing/trusted_keys"
    (trusted / "operator.pem").write_bytes(public)
    document = {
        "license_version": 1,
        "license_id": "scratch",
        "issuer": "InsightFace",  # the one value that the server's reader accepts
        "model_id": model_id,
        "grant": "non-commercial",
        "valid_from": "2020-01-01T00:00:00Z",
    }
    signature = base64.urlsafe_b64encode(key.sign(rfc8785.dumps(document))).rstrip(b"=")
    text = json.dumps(document | {"signature": signature.decode()})
    (models / "MODEL.LICENSE").write_text(text)


@pytest.fixture
def net():
    return trained_like("small").eval()


@pytest.fixture
def folders(net, tmp_path):
    """(server, models): a scratch copy, and an exported folder without a licence."""
    server, models = tmp_path / "server", tmp_path / "models"
    shutil.copytree(os.environ["INSIGHTFACE_SERVER"], server)
    detector = write_stand_in_detector(tmp_path / "det.onnx")
    pack = plan_pack(models, detector, "trial-1")
    export_onnx(net, pack.recogniser)
    write_pack(pack, schema="server")
    return server, models


def photo():
    pixels = np.random.default_rng(3).integers(0, 256, (24, 24, 3), np.uint8)
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def start(server: Path, models: Path) -> subprocess.CompletedProcess:
    work = models.parent
    cv2.imwrite(str(work / "photo.png"), photo())
    config = "[detection]\ninput_sizes = [[640, 640]]\n"
    (work / "server.toml").write_text(config)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(server / "backend"), *filter(None, sys.path)]),
        "INSIGHTFACE_DATA_DIR": str(work / "data"),
        "INSIGHTFACE_MODELS_DIR": str(models),
        "INSIGHTFACE_CONFIG_FILE": str(work / "server.toml"),
        "INSIGHTFACE_AUTH_ENABLED": "false",
        "INSIGHTFACE_SEARCH_BACKEND": "reference",
        "INSIGHTFACE_REGISTRATION_MIN_QUALITY": "0",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, "-c", DRIVER, str(work / "photo.png")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=server,
    )


def test_the_server_gives_the_backbones_embedding_and_finds_the_person(folders, net):
    server, models = folders
    write_licence(server, models, "trial-1")
    done = start(server, models)
    assert "ANSWER " in done.stdout, done.stderr[-3000:]
    answer = json.loads(done.stdout.partition("ANSWER ")[2])
    points = SIDE / 2 + 8 * POINTS.reshape(5, 2)
    crop = face_align.norm_crop(photo(), points)
    rgb = torch.from_numpy(crop[None, :, :, ::-1].copy()).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        expected = net((rgb - 127.5) / 127.5)[0].numpy()
    found = np.array(answer["embedding"])
    cosine = found @ expected / np.linalg.norm(found) / np.linalg.norm(expected)
    assert cosine > 0.9999
    assert similarity(answer["search"]) >= 0.999


def similarity(value) -> float:
    """The similarity in the answer to a search, wherever it is nested."""
    if isinstance(value, dict):
        if "similarity" in value:
            return float(value["similarity"])
        value = list(value.values())
    if isinstance(value, list):
        return max((similarity(part) for part in value), default=-1.0)
    return -1.0


def change(models: Path, **values) -> None:
    path = models / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["recognition"] |= values.pop("recognition", {})
    path.write_text(json.dumps(manifest | values))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"recognition": {"embedding_dimension": 128}}, "output dimension does not match manifest"),
        ({"made_by": "us"}, "unsupported fields: made_by"),
        (None, "model license file is missing"),
    ],
)
def test_the_server_refuses_what_its_contract_excludes(changes, reason, folders):
    server, models = folders
    write_licence(server, models, "trial-1")
    if changes is None:
        (models / "MODEL.LICENSE").unlink()
    else:
        change(models, **changes)
    done = start(server, models)
    assert done.returncode != 0
    assert reason in done.stderr
