import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from tests.forked_workers import fork_server
from tests.images import Digits, digits_at
from trainables.config import TrialConfig
from trainables.data import ImageRows, TrainingData
from trainables.models import build_for
from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS, describe_model
from trainables.trust import EVERY, trust
from trainables.views import Decoding


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the modules that use Ray, which take longest: many short ones fill the end."""
    longest = {item.path for item in items if "local_ray" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: item.path not in longest)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the cache of the person who runs the tests, or what they trust."""
    trust([EVERY])  # tests of trust itself start without
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CACHE", "CONFIG"):
            patch.setenv(f"XDG_{name}_HOME", str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(scope="session")
def forked_workers() -> Iterator[None]:
    """The workers of a Ray that is started from now on are forks."""
    with fork_server():
        yield


@pytest.fixture(scope="session")
def digits() -> Digits:
    return digits_at(8)


@pytest.fixture(scope="session")
def tiny_data(digits) -> TrainingData:
    """Forty digits to train on, so that batches of 16 leave a smaller one, and 24 to validate."""
    return TrainingData(
        train_images=ImageRows(digits.images[:40]),
        train_labels=digits.labels[:40],
        val_images=ImageRows(digits.images[40:64]),
        val_labels=digits.labels[40:64],
        classes=digits.classes,
    )


def write_model(folder: Path, config: TrialConfig, data: TrainingData) -> nn.Module:
    """Write an untrained model as a run writes its best one, and return it."""
    torch.manual_seed(0)
    model = build_for(config, data)
    weights = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    (folder / MODEL_WEIGHTS).write_bytes(weights)
    (folder / MODEL_FILE).write_text(json.dumps(describe_model(config, data, weights, Decoding())))
    return model
