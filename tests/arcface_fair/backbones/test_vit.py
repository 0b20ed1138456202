# SPDX-License-Identifier: MIT
"""vit_* carry arcface_torch's state dicts, and drop and hide in training only."""

import pytest
import torch

from arcface_fair.backbones import get_model
from arcface_fair.backbones.vit import FORMS, TOKENS, VisionTransformer
from arcface_fair.errors import UserError

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
BLOCK = (
    *("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"),
    *("attn.qkv.weight", "attn.proj.weight", "attn.proj.bias"),
    *("mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias"),
)


def expected_names(depth):
    """The keys of arcface_torch's vit in its order (observed at commit 7fadd420)."""
    names = ["pos_embed", "mask_token", "patch_embed.proj.weight", "patch_embed.proj.bias"]
    names += [f"blocks.{i}.{entry}" for i in range(depth) for entry in BLOCK]
    names += ["norm.weight", "norm.bias", "feature.0.weight"]
    names += [f"feature.1.{kind}" for kind in NORM] + ["feature.2.weight"]
    return [*names, *(f"feature.3.{kind}" for kind in NORM)]


# Numbers of parameters of arcface_torch's networks at 512 features, counted there.
PARAMETERS = {
    "vit_t": 19_137_792,
    "vit_t_dp005_mask0": 19_137_792,
    "vit_s": 76_023_296,
    "vit_s_dp005_mask_0": 76_023_296,
    "vit_b": 113_833_472,
    "vit_b_dp005_mask_005": 113_833_472,
    "vit_l_dp005_mask_005": 255_684_352,
    "vit_h": 756_393_984,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_order_and_sizes_are_those_of_arcface_torch(name):
    with torch.device("meta"):
        net = get_model(name)
    assert list(net.state_dict()) == expected_names(FORMS[name].depth)
    assert sum(p.numel() for p in net.parameters()) == PARAMETERS[name]
    assert net.blocks[0].attn.proj.in_features % 8 == 0
    rates = [block.drop_path.rate for block in net.blocks]
    assert (rates[0], round(rates[-1], 6)) == (0.0, FORMS[name].drop_path)


def tiny(masked=False, drop_path=0.0, recompute=False):
    torch.manual_seed(0)
    form = type(FORMS["vit_t"])(16, 2, drop_path, masked)
    return VisionTransformer(form, fp16=False, num_features=4, gradient_checkpointing=recompute)


IMAGES = torch.rand(3, 3, 112, 112) * 2 - 1


def test_embeddings_in_eval_mode_are_a_function_of_the_image():
    net = tiny(masked=True, drop_path=0.5).eval()
    with torch.no_grad():
        assert torch.equal(net(IMAGES), net(IMAGES))
        torch.testing.assert_close(net(IMAGES)[:1], net(IMAGES[:1]), rtol=0, atol=1e-5)


def test_masking_hides_a_tenth_of_the_patches_behind_the_learned_token():
    net = tiny(masked=True).train()
    seen = {}
    net.blocks[0].register_forward_pre_hook(lambda _, args: seen.update(tokens=args[0].shape[1]))
    net.feature.register_forward_pre_hook(lambda _, args: seen.update(read=args[0]))
    net(IMAGES)
    assert seen["tokens"] == int(TOKENS * 0.9) == 129
    tokens = seen["read"].reshape(3, TOKENS, 16)
    hidden = (tokens == net.mask_token).all(2)
    assert hidden.sum(1).tolist() == [TOKENS - 129] * 3
    assert not torch.equal(hidden[0], hidden[1])


def test_unmasked_networks_see_every_patch_in_training():
    net = tiny(masked=False).train()
    seen = {}
    net.blocks[0].register_forward_pre_hook(lambda _, args: seen.update(tokens=args[0].shape[1]))
    net(IMAGES)
    assert seen["tokens"] == TOKENS


def test_dropped_branches_leave_an_image_unchanged_and_keep_the_mean():
    drop = tiny(drop_path=0.5).blocks[1].drop_path.train()
    assert drop.rate == 0.5
    out = drop(torch.ones(1000, 2, 2))
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert bool((out == out[:, :1, :1]).all())
    assert 0.8 < float(out.mean()) < 1.2


def run_one_step(recompute):
    net = tiny(masked=True, drop_path=0.5, recompute=recompute).train()
    images = IMAGES.clone().requires_grad_()
    torch.manual_seed(1)
    net(images).square()[:, :2].sum().backward()
    return images.grad


def test_checkpointing_changes_no_gradient():
    assert torch.equal(run_one_step(False), run_one_step(True))


def test_large_forms_recompute_unless_told_otherwise():
    with torch.device("meta"):
        assert get_model("vit_b").recompute
        assert not get_model("vit_b", gradient_checkpointing=False).recompute
        assert not get_model("vit_t").recompute


def test_dropout_is_refused():
    with pytest.raises(
        UserError, match=r"dropout is 0\.4 but network 'vit_t' has no dropout layer"
    ):
        get_model("vit_t", dropout=0.4)
