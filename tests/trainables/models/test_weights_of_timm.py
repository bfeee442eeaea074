"""Published weights of timm's networks: which file is read, and which one is asked for."""

import json
import socket

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from tests.trainables.models.networks import state_of
from trainables.errors import InputError
from trainables.models import build_model, timm_networks
from trainables.models.heads import find_head
from trainables.models.pretrained import input_spec
from trainables.models.published import published
from trainables.models.weights import load_weights, read_weights

NAME = "test_resnet.r160_in1k"
REPOSITORY = "someone/some-network"


def no_address(*args, **kwargs):
    raise socket.gaierror("no address")


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """Empty caches, and no network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    timm_networks.hub_config.cache_clear()
    yield
    timm_networks.hub_config.cache_clear()


@pytest.fixture
def checkpoints(tmp_path):
    folder = tmp_path / "torch" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def weights_of(name):
    torch.manual_seed(1)
    return {key: torch.from_numpy(value) for key, value in state_of(name).items()}


def cached_by_the_hub(folder, repository, files):
    """Write files as the library of the hub caches them; returns the folder of the files."""
    cached = folder / f"models--{repository.replace('/', '--')}"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("0123abcd")
    snapshot = cached / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    for name, write in files.items():
        write(snapshot / name)


def read(name, state):
    weights = read_weights(name, "default")
    assert weights.keys() == state.keys()
    assert all(np.array_equal(weights[key], value) for key, value in state.items())


@pytest.mark.parametrize("suffix", ["safetensors", "bin", "pth"])
def test_a_file_beside_torchs_checkpoints_is_read(suffix, checkpoints):
    state = weights_of(f"timm:{NAME}")
    save = save_file if suffix == "safetensors" else torch.save
    save(state, checkpoints / f"{NAME}.{suffix}")
    read(f"timm:{NAME}", state)
    read("timm:test_resnet", state)  # its default weights


def test_a_file_of_timms_own_site_is_read_under_its_own_name(checkpoints):
    name = "timm:legacy_seresnet18"
    state = weights_of(name)
    torch.save(state, checkpoints / "seresnet18-4bb0ce65.pth")
    read(name, state)


def test_a_file_in_the_cache_of_the_hub_is_read_without_a_network(tmp_path):
    state = weights_of(f"timm:{NAME}")
    files = {"model.safetensors": lambda file: save_file(state, file)}
    cached_by_the_hub(tmp_path / "hub", f"timm/{NAME}", files)
    read(f"timm:{NAME}", state)


CONFIG = {
    "architecture": "test_resnet",
    "num_classes": 7,
    "pretrained_cfg": {
        "input_size": [3, 96, 96],
        "crop_pct": 0.75,
        "interpolation": "bicubic",
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "num_classes": 7,
        "first_conv": "conv1.0",
        "classifier": "fc",
        "license": "mit",
    },
}


@pytest.mark.parametrize("placed", ["by hand", "by the hub"])
def test_a_network_of_the_hub_is_described_by_its_repository(placed, tmp_path, checkpoints):
    state = weights_of("timm:test_resnet")
    state["fc.weight"], state["fc.bias"] = torch.ones(7, 96), torch.ones(7)
    files = {
        "config.json": lambda file: file.write_text(json.dumps(CONFIG)),
        "model.safetensors": lambda file: save_file(state, file),
    }
    if placed == "by hand":
        folder = checkpoints / "someone--some-network"
        folder.mkdir()
        for file, write in files.items():
            write(folder / file)
    else:
        cached_by_the_hub(tmp_path / "hub", REPOSITORY, files)
    name = f"timm:hf_hub:{REPOSITORY}"
    spec = input_spec(name)
    assert (spec.size, spec.resize_to, spec.interpolation) == (96, 128, "bicubic")
    assert (spec.mean, spec.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert published(name).licence == "mit"
    read(name, state)
    model = build_model(name, 3, 64)
    load_weights(model, name, 64, read_weights(name, "default"))
    assert torch.equal(model.conv1[0].weight, state["conv1.0.weight"])
    assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 3)


def test_a_repository_that_describes_no_network_of_timm_is_refused(checkpoints):
    folder = checkpoints / "someone--some-network"
    folder.mkdir()
    for config, words in (
        ({"model_type": "vit"}, "config.json"),
        ({"architecture": "some_net"}, "some_net"),
    ):
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(InputError) as error:
            input_spec(f"timm:hf_hub:{REPOSITORY}")
        assert REPOSITORY in str(error.value)
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "source", "place"),
    [
        (f"timm:{NAME}", f"model.safetensors of https://huggingface.co/timm/{NAME}",
         f"{NAME}.safetensors"),
        ("timm:legacy_seresnet18", "https://github.com/", "legacy_seresnet18.in1k.pth"),
        (f"timm:hf_hub:{REPOSITORY}",
         f"config.json and model.safetensors of https://huggingface.co/{REPOSITORY}",
         "someone--some-network"),
    ],
)  # fmt: skip
def test_weights_that_cannot_be_had_say_which_file_to_put_where(name, source, place, tmp_path):
    with pytest.raises(InputError) as error:
        read_weights(name, "default")
    assert source in str(error.value)
    assert str(tmp_path / "torch" / "checkpoints" / place) in str(error.value)


def test_a_network_without_published_weights_is_refused():
    with pytest.raises(InputError, match="timm has no weights of timm:botnet50ts_256"):
        read_weights("timm:botnet50ts_256", "default")


def test_a_damaged_file_is_refused(checkpoints):
    (checkpoints / f"{NAME}.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError) as error:
        read_weights(f"timm:{NAME}", "default")
    assert str(checkpoints / f"{NAME}.safetensors") in str(error.value)
    assert "truncated" in str(error.value)


# Image sizes


@pytest.mark.parametrize("name", ["timm:test_vit", "timm:test_coatnet"])
def test_weights_are_converted_to_the_image_size(name):
    weights = state_of(name)
    model = build_model(name, 3, 96)
    fresh = {key: value.clone() for key, value in model.state_dict().items()}
    load_weights(model, name, 96, weights)
    head = find_head(model, name, 96)
    for key, value in model.state_dict().items():
        if key.startswith(head) or "num_batches" in key:
            continue
        if value.shape == weights[key].shape:
            assert np.array_equal(value.numpy(), weights[key])
        else:  # position embeddings
            assert not torch.equal(value, fresh[key]), key


def test_an_image_size_that_weights_cannot_be_converted_to_is_refused():
    name = "timm:gmlp_ti16_224"
    with pytest.raises(InputError) as error:
        load_weights(build_model(name, 3, 64), name, 64, state_of(name))
    assert "--image-size 224" in str(error.value)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("timm:test_resnet.nonsense", 64, ["nonsense", "r160_in1k"]),
        ("timm:resnet81", 64, ["resnet81", "resnet18"]),
        ("timm:someone/network", 64, ["timm:hf_hub:ORG/NAME"]),
        ("timm:test_vit", 50, ["50×50", "divisible by", "native"]),
    ],
)
def test_a_timm_network_that_cannot_be_used_is_refused(name, size, words):
    with pytest.raises(InputError) as error:
        build_model(name, 3, size)
    assert all(word in str(error.value) for word in words)


def test_what_is_known_of_weights():
    vit = published("timm:vit_small_patch14_dinov2.lvd142m")
    assert vit.licence == "apache-2.0"
    assert vit.source == "https://huggingface.co/timm/vit_small_patch14_dinov2.lvd142m"
    resnet = published("resnet18")
    assert (resnet.licence, resnet.source) == (
        "bsd-3-clause",
        "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    )
    assert published("tests.nets:tiny") == published("cnn")
