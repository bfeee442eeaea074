import pytest

from tests.tune_jobs.analysis.comparisons import make_run
from trainables.config import TrialConfig
from tune_jobs.analysis.comparison.choice import winners
from tune_jobs.analysis.comparison.names import display_name, network_name, short_name


@pytest.mark.parametrize(
    ("settings", "name", "short"),
    [
        ({"model": "cnn"}, "custom CNN, 64 px", "custom CNN"),
        (
            {"model": "resnet18", "weights": "default", "mode": "probe", "lr": None},
            "ResNet18, ImageNet weights, 64 px, head only",
            "pretrained ResNet18",
        ),
        (
            {"model": "googlenet", "weights": "/tmp/mine.safetensors", "mode": "lora"},
            "GoogLeNet, mine.safetensors weights, 64 px, LoRA",
            "pretrained GoogLeNet",
        ),
        ({"model": "densenet121"}, "DenseNet121 from scratch, 64 px", "DenseNet121 from scratch"),
        (
            {"model": "timm:efficientnet_lite0.ra_in1k", "weights": "default"},
            "EfficientNet-Lite0, ImageNet weights, 64 px",
            "pretrained EfficientNet-Lite0",
        ),
        (
            {"model": "timm:convnext_tiny.fb_in22k", "weights": "default"},
            "ConvNeXt-Tiny, ImageNet-22k weights, 64 px",
            "pretrained ConvNeXt-Tiny",
        ),
        ({"model": "a.b:net"}, "custom b:net, 64 px", "custom b:net"),
        (
            {"model": "a.b:net", "weights": "default"},
            "b:net, pretrained weights, 64 px",
            "pretrained b:net",
        ),
    ],
)
def test_a_model_has_the_name_that_people_write(settings, name, short):
    config = TrialConfig(**{"lr": 1e-3} | settings)
    assert display_name(config, 64) == name
    assert short_name(config) == short
    averaged = display_name(config, 64, averaged=2)
    assert averaged == f"{name}, average of 2 trainings"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("mobilenet_v3_small", "MobileNet-V3-Small"),
        ("regnet_y_1_6gf", "RegNet-Y-1.6gf"),
        ("mnasnet0_5", "MNASNet0.5"),
        ("wide_resnet50_2", "Wide-ResNet50-2"),
        ("vit_b_16", "ViT-B-16"),
        ("timm:tf_efficientnetv2_s.in21k_ft_in1k", "EfficientNetV2-S"),
        ("timm:swin_tiny_patch4_window7_224.ms_in22k", "Swin-Tiny-Patch4-Window7-224"),
        ("timm:vit_small_patch14_dinov2.lvd142m", "ViT-Small-Patch14-DINOv2"),
        ("timm:hf_hub:timm/resnet18.a1_in1k", "ResNet18"),
        ("my.nets:Outer.small_net", "nets:Outer.small_net"),
    ],
)
def test_no_name_is_a_path_cut_in_the_middle(model, name):
    assert network_name(model) == name


def test_functions_of_the_same_name_are_told_apart_by_their_modules():
    run = make_run("run", {
        model: (TrialConfig(lr=1e-3, model=model, image_size=32), accuracy)
        for model, accuracy in (("a.x:net", 0.9), ("b.x:net", 0.8), ("b.x:other", 0.7))
    })  # fmt: skip
    for model, name in (("resnet18", "ResNet18"), ("timm:resnet18", "ResNet18 (timm:resnet18)"),
                        ("timm:resnet18.a1_in1k", "ResNet18 (timm:resnet18.a1_in1k)")):  # fmt: skip
        assert network_name(model, qualified=True) == name
    chosen = winners([run])
    assert [each.short_name for each in chosen] == [
        "custom a.x:net", "custom b.x:net", "custom x:other",
    ]  # fmt: skip
    assert chosen[0].name == "custom a.x:net, 32 px"
