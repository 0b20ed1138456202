# SPDX-License-Identifier: MIT
"""A whole run on real photographs: RecordIO, INV-REG, unseen people, ONNX in InsightFace.

AT&T / Olivetti Research Laboratory face database: 30 people to train on, 600 pairs of 10 others.
"""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from arcface_fair.config import load_config
from arcface_fair.data.sets.bins import decode_bin, load_bin
from arcface_fair.evaluation import ten_fold
from arcface_fair.export import export_onnx, load_backbone
from arcface_fair.hosts import build
from arcface_fair.hosts.embedded import train
from arcface_fair.hosts.settings import parse_run
from arcface_fair.plugin.partition import Partition
from arcface_fair.run.embed import embed_batches, embed_bin
from tests.paired_bootstrap import paired_bootstrap
from tests.small_data import raw_pixels

ORL = Path(__file__).parents[1] / "../shared/data/orl"
SEEDS = (0, 1, 2)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        not (ORL / "train.rec").is_file(), reason=f"{ORL} with the ORL photographs is not here"
    ),
]


def verify(embeddings, same):
    return ten_fold(embeddings[0::2], embeddings[1::2], same)


@pytest.fixture(scope="module")
def unseen():
    images, same = load_bin(ORL / "orl.bin")
    return decode_bin(images), same


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folders = {}
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"orl{seed}")
        changes = {"rec": str(ORL), "output": str(folder), "seed": seed, "verbose": 10_000}
        folders[seed] = train(load_config("orl_invreg", changes))
    return folders


def untrained(seed):
    run, _ = parse_run(load_config("orl_invreg", {"rec": str(ORL), "seed": seed}), {"invreg"})
    return build.build_backbone(run, torch.device("cpu"))


def test_unseen_people_are_told_apart_better_than_before_training_and_by_pixels(
    runs, unseen, capsys
):
    images, same = unseen
    pixels = verify(raw_pixels(images), same)
    before = [verify(embed_bin(untrained(seed), images), same) for seed in SEEDS]
    after = [verify(embed_bin(load_backbone(runs[seed]), images), same) for seed in SEEDS]
    interval = paired_bootstrap(
        [result.correct for result in after], [result.correct for result in before], level=0.9
    )
    mean_before = np.mean([result.accuracy for result in before])
    mean_after = np.mean([result.accuracy for result in after])
    with capsys.disabled():
        print(
            f"\nORL, 600 pairs of unseen people, three seeds: pixels {pixels.accuracy:.4f}, "
            f"untrained {mean_before:.4f}, trained with INV-REG {mean_after:.4f}; "
            f"trained - untrained {interval}"
        )
    assert interval.low > 0
    assert mean_after > mean_before
    assert mean_after > pixels.accuracy


def test_two_partitions_were_learned_and_lie_beside_the_checkpoint(runs):
    for folder in runs.values():
        state = torch.load(folder / "checkpoint_gpu_0.pt", weights_only=True)["plugins"]["invreg"]
        assert state["num_subsets"] == [2, 2]
        for stage in (1, 2):
            written = Partition.read(folder / "partitions" / f"stage_{stage}.tsv", 30)
            np.testing.assert_array_equal(written.subset, state["partitions"][stage - 1].numpy())
            assert set(written.subset.tolist()) == {0, 1}


def test_insightface_gives_the_exported_model_the_same_accuracy(runs, unseen, tmp_path):
    images, same = unseen
    backbone = load_backbone(runs[0])
    path = export_onnx(backbone, tmp_path / "model.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # insightface's own imports warn
        from insightface.model_zoo import get_model
    model = get_model(str(path), providers=["CPUExecutionProvider"])

    def embed(rgb):
        bgr = list(rgb[..., ::-1])
        mirrored = list(rgb[:, :, ::-1, ::-1])
        return model.get_feat(bgr) + model.get_feat(mirrored)

    ours = verify(embed_bin(backbone, images), same).accuracy
    theirs = verify(embed_batches(embed, images, 64), same).accuracy
    assert round(theirs, 4) == round(ours, 4)
