import pytest

from trainables.config import TrialConfig
from tune_jobs.search_space.defaults import finetune_space
from tune_jobs.search_space.published import (
    PUBLISHED,
    family_of,
    published_settings,
)
from tune_jobs.search_space.space import contains, to_config, within, without


def bases(*models, **settings):
    settings = {"weights": "default", **settings}
    return {model: TrialConfig(lr=1e-3, model=model, **settings) for model in models}


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("resnet18", "resnet"),
        ("densenet121", "resnet"),
        ("timm:resnetv2_50x1_bit.goog_in21k", "resnet"),
        ("timm:regnety_016.tv2_in1k", "resnet"),
        ("efficientnet_v2_s", "efficientnet"),
        ("timm:tf_efficientnet_lite0.in1k", "efficientnet"),
        ("mobilenet_v3_small", "efficientnet"),
        ("convnext_tiny", "convnext"),
        ("timm:convnextv2_atto.fcmae", "convnext"),
        ("vit_b_16", "vit"),
        ("timm:vit_small_patch14_dinov2.lvd142m", "vit"),
        ("timm:deit3_small_patch16_224", "vit"),
        ("timm:beitv2_base_patch16_224", "vit"),
        ("swin_t", "swin"),
        ("timm:swinv2_tiny_window8_256", "swin"),
        ("timm:crossvit_tiny_240", None),  # none of the five
        ("alexnet", None),
        ("mypackage.nets:resnet18", None),  # whatever it is
    ],
)
def test_the_family_of_a_network_is_read_off_its_name(model, family):
    assert family_of(model) == family


@pytest.mark.parametrize(
    "published", [each for known in PUBLISHED.values() for each in known], ids=lambda p: p.source
)
def test_published_settings_are_those_of_a_trial_and_lie_in_the_default_space(published):
    space = finetune_space(["resnet18"], ["full"])
    settings = published.at(64)
    assert within(space, settings) == {name: settings[name] for name in space if name in settings}
    config = to_config(settings, bases("resnet18")["resnet18"])  # raises for an invalid one
    assert config.lr == pytest.approx(published.lr * 64 / published.batch)
    assert {"lr", "batch_size", "optimizer", "weight_decay", "schedule"} <= settings.keys()


def test_each_network_gets_settings_before_one_gets_more():
    models = "resnet18", "vit_b_16", "alexnet"
    space = finetune_space(models, ["full"])
    found = published_settings(space, bases(*models), trials=20)
    assert [each["model"] for each in found] == ["resnet18", "vit_b_16", "resnet18", "vit_b_16"]
    assert found[0]["lr"] != found[2]["lr"]


@pytest.mark.parametrize(("trials", "count"), [(4, 0), (9, 1), (20, 4), (1000, 4)])
def test_few_trials_of_a_search_have_published_settings(trials, count):
    models = "resnet18", "vit_b_16"
    space = finetune_space(models, ["full"])
    assert len(published_settings(space, bases(*models), trials)) == count


def test_settings_that_depend_on_a_fixed_option_are_left_out():
    known = bases("vit_b_16")["vit_b_16"]
    space = finetune_space(["vit_b_16"], ["full"])
    adamw = without(space, ["optimizer"], bases("vit_b_16", optimizer="adamw")["vit_b_16"])
    (only,) = published_settings(adamw, bases("vit_b_16", optimizer="adamw"), 20)
    assert only["optimizer"] == "adamw"
    assert published_settings(without(space, ["lr"], known), {"vit_b_16": known}, 20) == []
    assert published_settings(space, bases("vit_b_16", weights="none"), 20) == []
    assert published_settings(space, bases("vit_b_16", mode="probe"), 20) == []


def test_learning_rates_follow_the_batch_size():
    space = finetune_space(["resnet18"], ["full"])
    del space["batch_size"]
    (first, _) = published_settings(space, bases("resnet18", batch_size=128), 20)
    assert first["batch_size"] == 128
    assert first["lr"] == pytest.approx(0.003 * 128 / 512)
    assert contains(space["lr"], first["lr"])
