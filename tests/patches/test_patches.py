# SPDX-License-Identifier: MIT
"""Each patch before and after, on small sources in the shapes that occurred since July 2022."""

from __future__ import annotations

import textwrap

import pytest

from patches import PATCHES, MissingAnchorError, Patch, patched_source
from patches.dataset import DeviceOfBatches, LabelsAsIntegers, LoadingErrors, RecordsWithoutMxnet
from patches.eval_ijbc import EvalIjbc
from patches.lr_scheduler import SchedulerWithoutVerbose
from patches.onnx_ijbc import OnnxIjbc
from patches.partial_fc_v2 import DeviceOfHead
from patches.torch2onnx import ExportByUs
from patches.train_v2 import CheckpointsThatRecut, DeviceOfTraining, ProcessGroup, SessionMoments
from patches.utils_callbacks import MissingBinIsAnError
from patches.utils_distributed_sampler import DeviceOfSeed
from patches.verification import BinsWithoutMxnet, ThresholdBetweenGridPoints
from tests.patches.hosts import MINIATURE

LOOP = """
import torch
def main(args):
    cfg = get_config(args.config)
    backbone = get_model(cfg.network, dropout=0.0)
    margin_loss = CombinedMarginLoss(
        64,
        cfg.margin_list[0])
    if cfg.optimizer == "sgd":
        module_partial_fc = PartialFC_V2(margin_loss, cfg.num_classes)
    elif cfg.optimizer == "adamw":
        module_partial_fc = PartialFC_V2(margin_loss, cfg.num_classes)
    lr_scheduler = PolyScheduler(optimizer=opt, base_lr=cfg.lr)

    start_epoch = 0
    if cfg.resume:
        lr_scheduler.load_state_dict(state["state_lr_scheduler"])
    amp = torch.cuda.amp.grad_scaler.GradScaler(growth_interval=100)
    for epoch in range(start_epoch, cfg.num_epoch):
        for _, (img, local_labels) in enumerate(train_loader):
            local_embeddings = backbone(img)
            loss: torch.Tensor = module_partial_fc(local_embeddings, local_labels, opt)
            if cfg.fp16:
                amp.scale(loss).backward()
            else:
                loss.backward()
            lr_scheduler.step()
        if cfg.save_all_states:
            checkpoint = {
                "epoch": epoch + 1}
    print("done")
"""

PATCHED_LOOP = """
import torch
from arcface_fair import bridge
def main(args):
    cfg = get_config(args.config)
    bridge.configure(cfg)
    backbone = bridge.build_backbone(get_model, cfg, cfg.network, dropout=0.0)
    margin_loss = bridge.build_margin(CombinedMarginLoss, cfg, 64,
        cfg.margin_list[0])
    if cfg.optimizer == "sgd":
        module_partial_fc = bridge.head_class(PartialFC_V2, cfg)(margin_loss, cfg.num_classes)
    elif cfg.optimizer == "adamw":
        module_partial_fc = bridge.head_class(PartialFC_V2, cfg)(margin_loss, cfg.num_classes)
    lr_scheduler = PolyScheduler(optimizer=opt, base_lr=cfg.lr)
    lr_scheduler = bridge.choose_schedule(lr_scheduler, cfg, opt)

    session = bridge.start(cfg, backbone, module_partial_fc, opt, lr_scheduler, summary_writer)
    start_epoch = 0
    if cfg.resume:
        lr_scheduler.load_state_dict(state["state_lr_scheduler"])
        session.resume(dict_checkpoint)
    amp = torch.cuda.amp.grad_scaler.GradScaler(growth_interval=100)
    amp = session.scaler(amp)
    for epoch in range(start_epoch, cfg.num_epoch):
        session.before_epoch(epoch)
        for _, (img, local_labels) in enumerate(session.batches(train_loader)):
            img = session.before_forward(img, local_labels)
            local_embeddings = backbone(img)
            loss: torch.Tensor = module_partial_fc(local_embeddings, local_labels, opt)
            session.after_loss(loss)
            if cfg.fp16:
                amp.scale(loss).backward()
                session.after_backward()
            else:
                loss.backward()
                session.after_backward()
            lr_scheduler.step()
            session.after_step()
        session.after_epoch()
        if cfg.save_all_states:
            checkpoint = {
                "epoch": epoch + 1}
            checkpoint.update(session.checkpoint())
    session.after_train()
    print("done")
"""


def after(patch: type[Patch], before: str) -> str:
    return patched_source(textwrap.dedent(before).encode(), [patch()]).decode()


def test_the_sessions_moments_stand_where_the_loop_has_them():
    before = LOOP.replace("local_labels, opt)", "local_labels)")
    expected = PATCHED_LOOP.replace("local_labels, opt)", "local_labels)")
    assert after(SessionMoments, before) == expected


def test_a_fork_whose_head_takes_other_arguments_is_named_with_the_line_to_write():
    with pytest.raises(MissingAnchorError) as caught:
        after(SessionMoments, LOOP)
    (missing,) = caught.value.missing
    assert missing.anchor == "the loss from `module_partial_fc`"
    assert (missing.file, missing.by_hand) == ("train_v2.py", "session.after_loss(loss)")


def test_a_line_that_was_written_by_hand_counts_as_done():
    by_hand = LOOP.replace(
        "            if cfg.fp16:", "            session.after_loss(loss)\n            if cfg.fp16:"
    )
    assert "session.before_forward" in after(SessionMoments, by_hand)


def test_a_third_element_of_the_batch_becomes_the_groups():
    before = LOOP.replace("(img, local_labels)", "(img, local_labels, race)")
    before = before.replace("local_labels, opt)", "local_labels)")
    assert "img = session.before_forward(img, local_labels, race)" in after(SessionMoments, before)


def test_the_fp16_hook_is_replaced_where_a_version_has_it():
    before = LOOP.replace("local_labels, opt)", "local_labels)").replace(
        "    margin_loss",
        "    backbone.register_comm_hook(None, fp16_compress_hook)\n    margin_loss",
    )
    assert "    bridge.register_comm_hook(backbone, cfg, fp16_compress_hook)\n" in after(
        SessionMoments, before
    )


SMALL = [
    (CheckpointsThatRecut,
     'dict_checkpoint = torch.load(os.path.join(cfg.output, "x"))\ntorch.save(checkpoint, "y")\n'
     'torch.save(model, "z")\n',
     "from arcface_fair import bridge\ndict_checkpoint = bridge.load_checkpoint(cfg)\n"
     'bridge.save_checkpoint(cfg, checkpoint)\ntorch.save(model, "z")\n'),
    (ProcessGroup,
     'import os\ntry:\n    distributed.init_process_group("nccl")\nexcept KeyError:\n'
     '    distributed.init_process_group(\n        backend="nccl",\n        rank=0)\n',
     "import os\nfrom arcface_fair import bridge\ntry:\n    bridge.init_process_group()\n"
     "except KeyError:\n    bridge.init_process_group()\n"),
    (DeviceOfTraining,
     "torch.cuda.set_device(args.local_rank)\nnet = get_model(n).cuda()\n"
     "net = DDP(module=net, device_ids=[args.local_rank])\nhead.train().cuda()\n",
     "from arcface_fair import bridge\nbridge.set_device(args.local_rank)\n"
     "net = get_model(n).to(bridge.device())\n"
     "net = DDP(module=net, device_ids=bridge.device_ids())\nhead.train().to(bridge.device())\n"),
    (DeviceOfHead, "a = [zeros(3).long().cuda() for _ in r]\n",
     "from arcface_fair import bridge\na = [zeros(3).long().to(bridge.device()) for _ in r]\n"),
    (RecordsWithoutMxnet,
     "import os\nimport mxnet as mx\nfrom torchvision import transforms\n"
     "from torchvision.datasets import ImageFolder\n\n"
     "def get_dataloader(root_dir, local_rank):\n    if rec:\n"
     "        train_set = MXFaceDataset(root_dir=root_dir, local_rank=local_rank)\n    else:\n"
     "        transform = transforms.Compose([\n            1])\n",
     "import os\nfrom arcface_fair import bridge\n\n"
     "def get_dataloader(root_dir, local_rank):\n    if rec:\n"
     "        train_set = bridge.RecordImages(root_dir)\n    else:\n"
     "        from torchvision import transforms\n"
     "        from torchvision.datasets import ImageFolder\n"
     "        transform = transforms.Compose([\n            1])\n"),
    (LabelsAsIntegers, "label = torch.tensor(label, dtype=torch.long)\n",
     "label = torch.tensor(int(label), dtype=torch.long)\n"),
    (LoadingErrors,
     "for item in self.generator:\n    self.queue.put(item)\nnext_item = self.queue.get()\n",
     "from arcface_fair import bridge\nfor item in bridge.until_failure(self.generator):\n"
     "    self.queue.put(item)\nnext_item = bridge.unless_failed(self.queue.get())\n"),
    (DeviceOfBatches,
     "torch.cuda.set_device(self.local_rank)\nself.stream = torch.cuda.Stream(local_rank)\n"
     "with torch.cuda.stream(self.stream):\n"
     "    b = b.to(device=self.local_rank, non_blocking=True)\n"
     "torch.cuda.current_stream().wait_stream(self.stream)\n"
     'images = decode(jpegs, device="mixed")\nloader = L(pin_memory=True)\n',
     "from arcface_fair import bridge\nbridge.set_device(self.local_rank)\n"
     "self.stream = bridge.copy_stream()\nwith bridge.using_stream(self.stream):\n"
     "    b = b.to(device=bridge.device(), non_blocking=True)\n"
     "bridge.wait_for_stream(self.stream)\n"
     'images = decode(jpegs, device="mixed")\nloader = L(pin_memory=bridge.on_gpu())\n'),
    (DeviceOfSeed, "n = torch.tensor(seed, dtype=torch.int32, device=device)\n",
     "from arcface_fair import bridge\n"
     "n = torch.tensor(seed, dtype=torch.int32, device=bridge.device())\n"),
    (SchedulerWithoutVerbose,
     "super().__init__(optimizer, last_epoch=last_epoch, verbose=verbose)\n",
     "super().__init__(optimizer, last_epoch=last_epoch)\n"),
    (SchedulerWithoutVerbose, "super(PolyScheduler, self).__init__(optimizer, -1, False)\n",
     "super(PolyScheduler, self).__init__(optimizer, -1)\n"),
    (BinsWithoutMxnet,
     "import mxnet as mx\nfrom mxnet import ndarray as nd\n@torch.no_grad()\n"
     "def load_bin(path, image_size):\n    with open(path) as f:\n        return pickle.load(f)\n",
     "from arcface_fair import bridge\n@torch.no_grad()\ndef load_bin(path, image_size):\n"
     "    return bridge.load_bin(path, image_size)\n"),
    (ThresholdBetweenGridPoints, "f = interpolate.interp1d(rates, thresholds, kind='slinear')\n",
     "from arcface_fair import bridge\n"
     "f = bridge.threshold_between(rates, thresholds, kind='slinear')\n"),
    (MissingBinIsAnError,
     "if self.rank is 0 and n > 0:\n    if os.path.exists(path):\n        load(path)\n",
     "from arcface_fair import bridge\nif self.rank == 0 and n > 0:\n"
     "    bridge.require_bin(path)\n    if os.path.exists(path):\n        load(path)\n"),
    (ExportByUs,
     "def convert_onnx(net, path_module, output, opset=11, simplify=False):\n"
     "    img = img.astype(np.float)\n",
     "from arcface_fair import bridge\n"
     "def convert_onnx(net, path_module, output, opset=11, simplify=False):\n"
     "    return bridge.convert_onnx(net, path_module, output, opset, simplify)\n"),
    (OnnxIjbc,
     "import mxnet as mx\nclass AlignedDataSet(mx.gluon.data.Dataset):\n    pass\n"
     "t = m[:, 1].astype(np.int)\nu = np.int64\n",
     "class AlignedDataSet(torch.utils.data.Dataset):\n    pass\nt = m[:, 1].astype(int)\n"
     "u = np.int64\n"),
    (EvalIjbc,
     "from menpo.visualize.viewmatplotlib import sample_colours_from_colourmap\n"
     "weight = torch.load(prefix)\nnet = get_model(n).cuda()\nt = a.astype(np.int)\n"
     "c = sample_colours_from_colourmap(3, 'Set2')\n",
     "from arcface_fair import bridge\n"
     "weight = torch.load(prefix, map_location=bridge.device())\n"
     "net = get_model(n).to(bridge.device())\nt = a.astype(int)\n"
     "c = bridge.colours(3, 'Set2')\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("patch", "before", "expected"), SMALL, ids=lambda v: getattr(v, "__name__", "")
)
def test_before_and_after(patch, before, expected):
    assert after(patch, before) == expected


def test_every_patch_has_a_case_here_and_a_description_of_one_line():
    assert {case[0] for case in SMALL} | {SessionMoments} == set(PATCHES)
    for patch in PATCHES:
        assert "\n" not in patch.DESCRIPTION
        assert 20 < len(patch.DESCRIPTION) < 100


def test_a_file_without_the_anchor_is_refused_by_every_patch():
    for patch in PATCHES:
        with pytest.raises(MissingAnchorError):
            patched_source(b"x = 1\n", [patch()])


@pytest.mark.parametrize("change", ["\r\n", "\t"])
def test_windows_line_ends_and_tabs_are_kept(change):
    plain = (MINIATURE / "train_v2.py").read_bytes()
    expected = patched_source(plain, [SessionMoments(), DeviceOfTraining()])

    def converted(source: bytes) -> bytes:
        if change == "\r\n":
            return source.replace(b"\n", b"\r\n")
        lines = source.decode().splitlines(True)
        return "".join(
            "\t" * ((len(s) - len(s.lstrip(" "))) // 4) + s.lstrip(" ") for s in lines
        ).encode()

    assert patched_source(converted(plain), [SessionMoments(), DeviceOfTraining()]) == converted(
        expected
    )


def test_what_is_inserted_calls_the_bridge_alone():
    source = (MINIATURE / "train_v2.py").read_bytes()
    patches = [p() for p in PATCHES if p.FILE == "train_v2.py"]
    old = set(source.decode().splitlines())
    new = [s for s in patched_source(source, patches).decode().splitlines() if s not in old]
    assert len(new) > 20
    for line in new:
        assert "bridge" in line or "session." in line, line


def test_a_file_that_is_no_python_is_refused():
    with pytest.raises(SyntaxError):
        patched_source(b"print 'two'\n", [DeviceOfHead()])
