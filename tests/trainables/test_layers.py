import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainables.models.layers import BatchNormMaxPool2d, train_depthwise_in_fp32

CHANNELS = 6
GAMMAS = {
    "positive": torch.linspace(0.1, 2, CHANNELS),
    "negative": torch.linspace(-2, -0.1, CHANNELS),
    "mixed, with a zero": torch.tensor([1.5, -1, 0, 0.5, -2, 1]),
}


def noise(shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def coarse(shape):
    """Many pixels of a window are equal."""
    return noise(shape).round()


def flat_regions(shape):
    """The left half of each image is constant, as are all pixels of one channel."""
    x = noise(shape)
    x[..., : shape[-1] // 2] = 0.25
    x[:, 1] = 0.5
    return x


def layers(gamma):
    ours = BatchNormMaxPool2d(CHANNELS)
    norm = nn.BatchNorm2d(CHANNELS)
    with torch.no_grad():
        norm.weight.copy_(gamma)
        norm.bias.copy_(torch.linspace(-0.5, 0.5, CHANNELS))
        norm.running_mean.copy_(torch.linspace(-0.2, 0.2, CHANNELS))
        norm.running_var.copy_(torch.linspace(0.5, 1.5, CHANNELS))
    ours.load_state_dict(norm.state_dict())
    return ours, nn.Sequential(norm, nn.MaxPool2d(2))


def forward_and_backward(module, x, grad):
    x = x.clone().requires_grad_()
    y = module(x)
    y.backward(grad)
    weight, bias = (p.grad for p in module.parameters())
    return {"output": y.detach(), "x": x.grad, "weight": weight, "bias": bias}


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (2, 2)])
@pytest.mark.parametrize("make", [noise, coarse, flat_regions])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_training_equals_batch_norm_then_max_pool(gamma, make, size, memory):
    x = make((5, CHANNELS, *size)).contiguous(memory_format=memory)
    grad = noise((5, CHANNELS, size[0] // 2, size[1] // 2))
    ours, reference = layers(GAMMAS[gamma])
    result = forward_and_backward(ours, x, grad)
    expected = forward_and_backward(reference, x, grad)
    for name in expected:
        scale = float(expected[name].abs().max())
        torch.testing.assert_close(
            result[name], expected[name], rtol=1e-4, atol=1e-5 * scale, msg=name
        )
    state = reference[0].state_dict()
    assert list(ours.state_dict()) == list(state)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-6, atol=1e-7)


def test_running_statistics_follow_batch_norm_over_many_steps():
    ours, reference = layers(GAMMAS["positive"])
    for step in range(20):
        x = noise((4, CHANNELS, 6, 6)) * (step + 1) + step
        ours(x), reference(x)
    torch.testing.assert_close(ours.running_mean, reference[0].running_mean)
    torch.testing.assert_close(ours.running_var, reference[0].running_var)
    assert ours.num_batches_tracked == 20


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_evaluation_equals_batch_norm_then_max_pool(dtype, gamma):
    ours, reference = (m.to(dtype).eval() for m in layers(GAMMAS[gamma]))
    x = noise((5, CHANNELS, 7, 8)).to(dtype)
    before = ours.running_mean.clone()
    assert torch.equal(ours(x), reference(x))
    assert torch.equal(ours.running_mean, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_training_in_other_precisions_equals_torchs_layers(dtype):
    x = noise((5, CHANNELS, 8, 8)).to(dtype)
    grad = noise((5, CHANNELS, 4, 4)).to(dtype)
    ours, reference = (m.to(dtype) for m in layers(GAMMAS["mixed, with a zero"]))
    result = forward_and_backward(ours, x, grad)
    expected = forward_and_backward(reference, x, grad)
    for name in expected:
        assert torch.equal(result[name], expected[name]), name


def test_frozen_parameters_and_inputs_get_no_gradient():
    ours, _ = layers(GAMMAS["positive"])
    ours.weight.requires_grad_(False)
    x = noise((2, CHANNELS, 4, 4))
    ours(x).sum().backward()
    assert ours.weight.grad is None
    assert x.grad is None
    torch.testing.assert_close(ours.bias.grad, torch.full((CHANNELS,), 8.0))


class Padded(nn.Conv2d):
    """A convolution that pads by itself, as those of many published networks do."""

    def forward(self, x):
        return super().forward(F.pad(x, (2, 2, 2, 2)))


def depthwise(kind=nn.Conv2d):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 1), kind(8, 8, 5, groups=8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train_depthwise_in_fp32(model)
    torch.testing.assert_close(model.state_dict(), before, check_stride=True)
    return copy.deepcopy(model)  # as a moving average is one


@pytest.mark.parametrize("kind", [nn.Conv2d, Padded])
def test_depthwise_convolutions_train_in_fp32_under_autocast(kind):
    layer, x = depthwise(kind)[1], noise((4, 8, 6, 6)).requires_grad_()
    assert layer(x).shape[2:] == ((6, 6) if kind is Padded else (2, 2))
    whole = layer(x)
    gradients = torch.autograd.grad(whole.square().sum(), [x, layer.weight])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(x)
        found = torch.autograd.grad(mixed.square().sum(), [x, layer.weight])
    torch.testing.assert_close((mixed, *found), (whole, *gradients), rtol=0, atol=0)


def test_depthwise_convolutions_without_gradients_have_the_precision_of_autocast():
    model, images = depthwise(), noise((4, 3, 6, 6))
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images).dtype is torch.float32
        with torch.no_grad():
            assert model(images).dtype is torch.bfloat16
        model.requires_grad_(False)  # a frozen backbone
        assert model(images).dtype is torch.bfloat16
