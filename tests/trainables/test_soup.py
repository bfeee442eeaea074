import numpy as np
import pytest
import torch

from tests import nets
from tests.images import digits_at, training_data
from trainables.config import TrialConfig
from trainables.device_images import on_device
from trainables.image_rows import ImageRows
from trainables.loop import fit
from trainables.precision import Autocast
from trainables.prediction import predict
from trainables.preparation import preparation
from trainables.soup import add, divide, greedy_soup, recompute_batch_norm

CPU = torch.device("cpu")
CONFIG = TrialConfig(
    lr=1e-2, epochs=2, model="tests.nets:tiny", image_size=8, normalize="dataset", precision="fp32"
)


@pytest.fixture(scope="module")
def data():
    digits = digits_at(8)
    return training_data(digits.images, digits.labels, digits.classes)


@pytest.fixture(scope="module")
def trained(data):
    """The weights of a training."""
    kept = {}
    fit(CONFIG, data, lambda _, state: kept.update(state["best"]))
    return {name: tensor.clone() for name, tensor in kept.items()}


def random_weights(seed):
    torch.manual_seed(seed)
    return nets.tiny(10).state_dict()


def soup_of(data, *states, **settings):
    config = TrialConfig(**(vars(CONFIG) | settings))
    images = data.train_images
    return greedy_soup(config, data, images, states.__getitem__, len(states), CPU, "fp32")


def test_an_average_is_that_of_every_weight_and_counts_stay_whole():
    first, second = random_weights(0), random_weights(1)
    mean = divide(add(first, second), 2)
    for name, tensor in mean.items():
        assert tensor.dtype == first[name].dtype
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (first[name] + second[name]) / 2)
    assert mean["1.num_batches_tracked"] == first["1.num_batches_tracked"]


def test_weights_of_different_networks_are_not_averaged():
    other = {name: tensor for name, tensor in random_weights(0).items() if name != "9.bias"}
    with pytest.raises(ValueError, match="different networks"):
        add(random_weights(0), other)


def test_a_member_that_lowers_the_score_is_left_out(data, trained):
    soup = soup_of(data, trained, random_weights(3), trained)
    assert 1 not in soup.members
    assert soup.members[0] == 0


def test_an_average_is_never_worse_than_its_first_member(data, trained):
    alone = soup_of(data, trained, random_weights(3)).scores["val_accuracy"]
    noisy = {
        name: t + 0.02 * torch.randn_like(t) if t.is_floating_point() else t
        for name, t in trained.items()
    }
    assert soup_of(data, trained, noisy).scores["val_accuracy"] >= alone


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_scores_are_those_of_the_weights(data, trained, metric):
    soup = soup_of(data, trained, trained, metric=metric)
    model = nets.tiny(10)
    model.load_state_dict(soup.state)
    prepare = preparation(CONFIG, data, CPU)
    logits = predict(model, on_device(data.val_images, CPU), prepare, Autocast("fp32", CPU))
    accuracy = (logits.argmax(1).numpy() == data.val_labels).mean()
    assert soup.scores["val_accuracy"] == pytest.approx(accuracy)


def test_frozen_batch_norm_statistics_stay(data, trained):
    soup = soup_of(data, trained, trained, freeze_batch_norm=True, metric="log_loss")
    assert soup.members == (0, 1)
    torch.testing.assert_close(soup.state, trained)


def test_recomputed_statistics_are_those_of_the_images_without_dropout(data):
    model = nets.tiny(10).train()
    momentum = model[1].momentum
    count = 64
    images = ImageRows(data.train_images.store, data.train_images.rows[:count])
    prepare = preparation(CONFIG, data, CPU)
    recompute_batch_norm(model, images, prepare, Autocast("fp32", CPU))
    with torch.no_grad():
        inputs = model[0](prepare(torch.from_numpy(images.read())))
    torch.testing.assert_close(model[1].running_mean, inputs.mean((0, 2, 3)))
    torch.testing.assert_close(model[1].running_var, inputs.var((0, 2, 3)))
    assert not any(module.training for module in model.modules())
    assert model[1].momentum == momentum


def test_a_network_without_batch_norm_is_left_as_it_is(data):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    images = data.train_images.take(np.arange(8))
    recompute_batch_norm(model, images, preparation(CONFIG, data, CPU), Autocast("fp32", CPU))
    torch.testing.assert_close(dict(model.state_dict()), before)
