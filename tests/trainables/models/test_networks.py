"""One small network of every module of timm and of every family of torchvision."""

import functools

import pytest
import timm
import torch
import torchvision
from torch import nn

from tests.trainables.models.networks import state_of
from trainables.errors import InputError
from trainables.models import build_model
from trainables.models.heads import find_head, linear_head, stages
from trainables.models.weights import load_weights

QUICK = {
    "byobnet": "test_byobnet",
    "convnext": "test_convnext",
    "cpubone": "cpubone_nano",
    "deit": "deit_tiny_distilled_patch16_224",
    "dla": "dla46x_c",
    "efficientnet": "test_efficientnet",
    "efficientvim": "efficientvim_m1",
    "efficientvit_msra": "efficientvit_m0",
    "eva": "vit_tiny_patch16_dinov3_qkvb",
    "inception_next": "inception_next_atto",
    "levit": "levit_128s",
    "mambaout": "test_mambaout",
    "maxxvit": "test_coatnet",
    "mobilenetv3": "mobilenetv3_small_050",
    "nfnet": "test_nfnet",
    "resnet": "test_resnet",
    "swiftformer": "swiftformer_xs",
    "vision_transformer": "test_vit",
    "vision_transformer_relpos": "test_vit_relpos",
}
"""Networks that take at most a second, by module of timm: every kind of head is among them."""
SLOW = {
    "beit": "beit_base_patch16_224",
    "byoanet": "halonet_h1",
    "cait": "cait_xxs24_224",
    "coat": "coat_tiny",
    "convit": "convit_tiny",
    "convmixer": "convmixer_768_32",
    "crossvit": "crossvit_tiny_240",
    "csatv2": "csatv2",
    "cspnet": "cs3darknet_focus_s",
    "cspnext": "cspnext_tiny",
    "davit": "davit_tiny",
    "deepseek_vit": "deepseek_vit_412m",
    "densenet": "densenet121",
    "dpn": "dpn48b",
    "edgenext": "edgenext_xx_small",
    "efficientformer": "efficientformer_l1",
    "efficientformer_v2": "efficientformerv2_s0",
    "efficientvit_mit": "efficientvit_b0",
    "fasternet": "fasternet_t0",
    "fastvit": "fastvit_t8",
    "focalnet": "focalnet_tiny_srf",
    "gcvit": "gcvit_xxtiny",
    "gemma4_vit": "gemma4_vit_167m",
    "ghostnet": "ghostnet_050",
    "hardcorenas": "hardcorenas_b",
    "hgnet": "hgnetv2_b0",
    "hiera": "hiera_tiny_224",
    "hieradet_sam2": "sam2_hiera_tiny",
    "hrnet": "hrnet_w18_small",
    "iformer": "iformer_t",
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "lcnetv2": "lcnetv2_small",
    "lowformer": "lowformer_b0",
    "metaformer": "poolformerv2_s12",
    "mlp_mixer": "gmlp_ti16_224",
    "mobilenetv5": "mobilenetv5_base",
    "mobilevit": "mobilevit_xxs",
    "mvitv2": "mvitv2_tiny",
    "naflexvit": "naflexvit_base_patch16_parfac_gap",
    "nasnet": "nasnetalarge",
    "nest": "nest_tiny",
    "nextvit": "nextvit_small",
    "pit": "pit_ti_224",
    "pnasnet": "pnasnet5large",
    "pvt_v2": "pvt_v2_b0",
    "qwen3_vit": "qwen3_vit_88m",
    "rdnet": "rdnet_tiny",
    "regnet": "regnetx_002",
    "repghost": "repghostnet_050",
    "repvit": "repvit_m1",
    "res2net": "res2next50",
    "resnest": "resnest14d",
    "resnetv2": "resnetv2_18",
    "rexnet": "rexnet_100",
    "selecsls": "selecsls42",
    "senet": "legacy_seresnet18",
    "sequencer": "sequencer2d_s",
    "shvit": "shvit_s1",
    "sknet": "skresnet18",
    "starnet": "starnet_s050",
    "swin_transformer": "swin_tiny_patch4_window7_224",
    "swin_transformer_v2": "swinv2_tiny_window8_256",
    "swin_transformer_v2_cr": "swinv2_cr_tiny_224",
    "tiny_vit": "tiny_vit_5m_224",
    "tnt": "tnt_s_legacy_patch16_224",
    "tresnet": "tresnet_m",
    "twins": "twins_svt_small",
    "vgg": "vgg11",
    "visformer": "visformer_tiny",
    "vision_transformer_hybrid": "vit_tiny_r_s16_p8_224",
    "vision_transformer_sam": "samvit_base_patch16_224",
    "vitamin": "vitamin_small_224",
    "volo": "volo_d1_224",
    "vovnet": "ese_vovnet19b_slim_dw",
    "xception": "legacy_xception",
    "xception_aligned": "xception41p",
    "xcit": "xcit_nano_12_p8_224",
}
"""The other modules of timm, each with its network of fewest parameters."""
SHALLOW = {
    "beit_base_patch16_224",
    "deepseek_vit_412m",
    "gemma4_vit_167m",
    "naflexvit_base_patch16_parfac_gap",
    "qwen3_vit_88m",
    "samvit_base_patch16_224",
}
"""Networks that are built with two of their blocks, as they are large."""
SIZES = {
    "crossvit_tiny_240": 240,
    "deepseek_vit_412m": 56,
    "efficientformer_l1": 224,
    "halonet_h1": 256,
    "inception_resnet_v2": 139,
    "inception_v3": 139,
    "inception_v4": 139,
    "maxvit_t": 224,
    "swin_t": 224,
    "vit_b_16": 224,
}
"""Image sizes in pixels of the networks that do not take 64."""
QUICK_FAMILIES = {
    "mnasnet": "mnasnet0_5",
    "mobilenetv3": "mobilenet_v3_small",
    "shufflenetv2": "shufflenet_v2_x0_5",
    "squeezenet": "squeezenet1_1",
}
"""Networks of torchvision that take at most a second, by module."""
SLOW_FAMILIES = {
    "alexnet": "alexnet",
    "convnext": "convnext_tiny",
    "densenet": "densenet121",
    "efficientnet": "efficientnet_b0",
    "googlenet": "googlenet",
    "inception": "inception_v3",
    "maxvit": "maxvit_t",
    "mobilenetv2": "mobilenet_v2",
    "regnet": "regnet_y_400mf",
    "resnet": "resnet18",
    "swin_transformer": "swin_t",
    "vgg": "vgg11",
    "vision_transformer": "vit_b_16",
}
"""The other modules of torchvision, each with its network of fewest parameters."""
NO_FEATURES = {"squeezenet1_1"}
"""Networks whose last layer is a convolution before the pooling, which mode probe refuses."""


def timm_networks(table):
    return [f"timm:{name}" for name in table.values()]


def test_every_module_and_family_has_its_network():
    assert set(timm.list_modules()) <= QUICK.keys() | SLOW.keys()
    models = torchvision.models
    modules = {models.get_model_builder(n).__module__ for n in models.list_models(module=models)}
    families = QUICK_FAMILIES.keys() | SLOW_FAMILIES.keys()
    assert {module.rpartition(".")[2] for module in modules} == families


@pytest.mark.parametrize("name", [*timm_networks(QUICK), *QUICK_FAMILIES.values()])
def test_a_network_can_be_trained_probed_saved_and_loaded(name, monkeypatch):
    check(name, monkeypatch)


@pytest.mark.networks
@pytest.mark.parametrize("name", [*timm_networks(SLOW), *SLOW_FAMILIES.values()])
def test_every_network_can_be_trained_probed_saved_and_loaded(name, monkeypatch):
    check(name, monkeypatch)


@pytest.mark.networks
def test_auxiliary_branches_that_do_not_take_an_image_size_are_refused():
    with pytest.raises(InputError, match="auxiliary branches of inception_v3"):
        build_model("inception_v3", 3, 75, aux_loss=True)


def check(name, monkeypatch):
    bare = name.removeprefix("timm:")
    size = SIZES.get(bare, 64)
    if bare in SHALLOW:
        monkeypatch.setattr(timm, "create_model", functools.partial(timm.create_model, depth=2))
    torch.manual_seed(0)
    model = build_model(name, 3, size)
    head = find_head(model, name, size)
    images = torch.randn(2, 3, size, size)

    # One step of training.
    logits = model.train()(images)
    assert logits.shape == (2, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    trained = [p for p in model.parameters() if p.grad is not None]
    assert all(p.grad.isfinite().all() for p in trained)
    # EfficientViM has weights of its several heads, which one head does not use.
    assert len(trained) >= len(list(model.parameters())) - ("efficientvim" in name)
    torch.optim.SGD(model.parameters(), lr=1e-3).step()

    # Stages hold every parameter once, the head last.
    groups = stages(model, head)
    grouped = [id(p) for stage in groups for p in stage]
    assert sorted(grouped) == sorted(map(id, model.parameters()))
    assert groups[-1] == list(model.get_submodule(head).parameters())
    assert len(groups) > 3

    # The state dict restores the network, and has the names of the published weights.
    fresh = build_model(name, 3, size)
    load_weights(fresh, name, size, state_of(name, size))
    fresh.load_state_dict(model.state_dict())
    with torch.no_grad():
        logits = model.eval()(images)
        torch.testing.assert_close(fresh.eval()(images), logits)

    # The head on the features gives the logits.
    if name in NO_FEATURES:
        with pytest.raises(InputError, match="convolution"):
            linear_head(model, name, size)
        return
    assert linear_head(model, name, size) == head
    layer = model.get_submodule(head)
    model.set_submodule(head, nn.Identity())
    with torch.no_grad():
        features = model(images)
        assert features.shape == (2, layer.in_features)
        assert features.isfinite().all()
        torch.testing.assert_close(layer(features).flatten(1), logits, rtol=1e-3, atol=1e-4)
