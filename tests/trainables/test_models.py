import pytest
import torch
from torch import nn

from trainables.errors import InputError
from trainables.models import build_model, list_models, parameter_count


def learnable(module):
    return sum(p.numel() for p in module.parameters())


def report_network(classes=10, size=32, widths=(32, 64, 128), kernel=5, hidden=64, dropout=0.5):
    """The network as the report draws it."""
    layers = []
    for c_in, c_out in zip((3, *widths), widths, strict=False):
        conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2, bias=False)
        layers += [conv, nn.BatchNorm2d(c_out), nn.ReLU(), nn.MaxPool2d(2)]
    inputs = widths[-1] * (size // 2 ** len(widths)) ** 2
    layers += [nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden, classes))


def same_weights(model, reference):
    """Give the reference the model's weights, which are in the same order."""
    ours, theirs = model.state_dict(), reference.state_dict()
    assert [v.shape for v in ours.values()] == [v.shape for v in theirs.values()]
    reference.load_state_dict(dict(zip(theirs, ours.values(), strict=True)))


def as_after_some_training(model):
    """Make every parameter of batch normalisation matter, some scales negative."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.bias.data, module.running_mean):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 1)


def images(n, size):
    return torch.randn((n, 3, size, size), generator=torch.Generator().manual_seed(0))


# The registry


@pytest.mark.parametrize("name", list_models())
def test_every_model_turns_images_into_logits(name):
    model = build_model(name, num_classes=7, image_size=32).eval()
    with torch.no_grad():
        logits = model(images(2, 32))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", list_models())
def test_every_model_can_be_trained(name):
    model = build_model(name, num_classes=3, image_size=32)
    model(images(4, 32)).square().sum().backward()
    learning = [p for p in model.parameters() if p.requires_grad]
    assert parameter_count(model) == sum(p.numel() for p in learning) > 0
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("nosuch_network.in1k", "timm:nosuch_network.in1k"),
        ("resnet-18", "resnet18"),
        ("cnnn", "cnn"),
        ("?", "cnn"),
        ("nets.mine", "nets:mine"),
        ("convnext_atto", "timm:convnext_atto"),
    ],
)
def test_an_unknown_model_is_refused_with_those_that_are_near(name, near):
    with pytest.raises(InputError) as error:
        build_model(name, num_classes=10, image_size=32)
    assert repr(name) in str(error.value)
    assert near in str(error.value)


def test_frozen_parameters_are_not_counted_as_learnable():
    model = build_model("cnn", num_classes=10, image_size=32)
    model.features.requires_grad_(False)
    assert parameter_count(model) == 131_136 + 650


# The custom CNN


def test_the_cnn_has_the_parameters_of_the_report():
    model = build_model("cnn", num_classes=10, image_size=32)
    assert parameter_count(model) == 390_634
    linear = [m for m in model.classifier if isinstance(m, nn.Linear)]
    assert [learnable(m) for m in (*model.features, *linear)] == [
        2_464,
        51_328,
        205_056,
        131_136,
        650,
    ]


SHAPES = [
    {},
    {"classes": 3},
    {"size": 28},
    {"size": 8},
    {"widths": (4, 6)},
    {"widths": [8]},
    {"kernel": 3},
    {"kernel": 1},
    {"hidden": 5},
    {"classes": 2, "size": 19, "widths": (3, 5, 7, 9), "kernel": 7, "hidden": 4},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_cnns_arguments_shape_the_network_of_the_report(shape):
    names = {"widths": "widths", "kernel": "kernel_size", "hidden": "hidden_units"}
    args = {names[key]: value for key, value in shape.items() if key in names}
    classes, size = shape.get("classes", 10), shape.get("size", 32)
    model = build_model("cnn", num_classes=classes, image_size=size, **args).eval()
    reference = report_network(**shape)
    same_weights(model, reference.eval())
    x = images(3, size)
    torch.testing.assert_close(model(x), reference(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [32, 20])
def test_the_cnn_in_training_equals_conv_norm_relu_pool(size):
    model = build_model("cnn", num_classes=10, image_size=size)
    reference = report_network(size=size)
    as_after_some_training(model)
    same_weights(model, reference)
    x, labels = images(16, size), torch.arange(16) % 10
    outputs, inputs = [], []
    for module in (model, reference):
        torch.manual_seed(3)  # of dropout
        inputs.append(x.clone().requires_grad_())
        outputs.append(module(inputs[-1].contiguous(memory_format=torch.channels_last)))
        nn.functional.cross_entropy(outputs[-1], labels).backward()
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    gradients = [[x.grad, *(p.grad for p in m.parameters())]
                 for x, m in zip(inputs, (model, reference), strict=True)]  # fmt: skip
    for ours, theirs in zip(*gradients, strict=True):
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5 * scale)
    for ours, theirs in zip(model.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_cnn_in_evaluation_equals_conv_norm_relu_pool():
    model = build_model("cnn", num_classes=10, image_size=32).eval()
    reference = report_network().eval()
    as_after_some_training(model)
    same_weights(model, reference)
    x = images(16, 32)
    torch.testing.assert_close(model(x), reference(x), rtol=1e-5, atol=1e-6)


def test_ten_steps_of_training_end_where_the_reports_network_ends():
    model = build_model("cnn", num_classes=4, image_size=8, widths=(4, 8), dropout=0.0)
    reference = report_network(4, 8, (4, 8), dropout=0.0)
    same_weights(model, reference)
    x, labels = images(16, 8), torch.arange(16) % 4
    for module in (model, reference):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.05)
        for _ in range(10):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x), labels).backward()
            optimizer.step()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.0, 0.25, 0.5])
def test_dropout_zeroes_hidden_units_with_its_probability_in_training_alone(dropout):
    model = build_model("cnn", num_classes=2, image_size=8, hidden_units=2000, dropout=dropout)
    hidden = []
    model.classifier[-1].register_forward_pre_hook(lambda _, inputs: hidden.append(inputs[0]))
    with torch.no_grad():
        model.classifier[1].bias.fill_(100.0)  # no unit is zero without dropout
        torch.manual_seed(0)
        model.train()(images(2, 8))
        model.eval()(images(2, 8))
    zeroed = [float((units == 0).float().mean()) for units in hidden]
    assert zeroed == [pytest.approx(dropout, abs=0.03), 0]


@pytest.mark.parametrize("kernel_size", [2, 4, 0])
def test_an_even_kernel_is_refused(kernel_size):
    with pytest.raises(InputError, match=f"kernel size {kernel_size} must be odd"):
        build_model("cnn", num_classes=10, image_size=32, kernel_size=kernel_size)


@pytest.mark.parametrize(("size", "widths"), [(7, (4, 4, 4)), (1, (4,)), (31, (4,) * 5)])
def test_an_image_too_small_to_be_halved_is_refused(size, widths):
    with pytest.raises(InputError) as error:
        build_model("cnn", num_classes=10, image_size=size, widths=widths)
    assert f"image size {size}" in str(error.value)
    assert f"{2 ** len(widths)} or more" in str(error.value)
