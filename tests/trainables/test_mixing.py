import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.images import training_data
from tests.trainables.test_loop import make_config, train
from trainables.config import TrialConfig
from trainables.loop import fit
from trainables.mixing import build_mixing
from trainables.optim import build_optimizer, build_scheduler
from trainables.precision import Autocast
from trainables.preparation import Preparation
from trainables.step import Step, criterion

BOTH = [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]
CPU = torch.device("cpu")


def mixed(batch, labels, classes=10, seed=0, **changes):
    torch.manual_seed(seed)
    return build_mixing(TrialConfig(lr=0.1, **changes), classes)(batch, labels)


def flat_images(n, size=16):
    """Images of one grey each, which is 20 times their number, and labels of a class each."""
    grey = (20 * torch.arange(n)).to(torch.uint8)
    return grey[:, None, None, None].expand(n, size, size, 3).contiguous(), torch.arange(n)


def test_nothing_is_mixed_unless_asked_for():
    assert build_mixing(TrialConfig(lr=0.1, augment="strong"), 10) is None


@pytest.mark.parametrize("changes", BOTH, ids=str)
def test_the_label_says_how_much_of_each_image_is_in_the_mixture(changes):
    batch, labels = flat_images(10)
    for seed in range(20):
        images, target = mixed(batch, labels, seed=seed, **changes)
        assert images.dtype == torch.uint8
        assert images.shape == batch.shape
        torch.testing.assert_close(target.sum(1), torch.ones(10))
        # The mean grey of a mixture is that of its classes at their shares.
        greys = images.float().mean((1, 2, 3))
        torch.testing.assert_close(greys, target @ (20.0 * torch.arange(10)), rtol=0, atol=0.51)
        assert len({round(share, 4) for share in target.max(1).values.tolist()}) >= 4


def test_mixup_blends_and_cutmix_pastes():
    batch, labels = flat_images(10)
    for seed in range(10):
        blended, _ = mixed(batch, labels, seed=seed, mixup=0.4)
        assert (blended == blended[:, :1, :1]).all()
        pasted, target = mixed(batch, labels, seed=seed, cutmix=1.0)
        own = (pasted == batch).all(3)
        assert torch.equal((pasted == batch.roll(1, 0)).all(3), ~own)
        torch.testing.assert_close(own.float().mean((1, 2)), target.diagonal())
        for inside in ~own:  # a rectangle
            rows, columns = inside.any(1), inside.any(0)
            assert torch.equal(inside, rows[:, None] & columns)


def test_with_both_on_half_of_the_images_get_each():
    batch, labels = flat_images(10)
    batch, labels = batch.repeat(60, 1, 1, 1), labels.repeat(60)
    images, target = mixed(batch, labels, mixup=5.0, cutmix=5.0)
    pasted = ((images == batch) | (images == batch.roll(1, 0))).all(3).flatten(1).all(1)
    assert 250 < pasted.sum() < 350
    assert target.max() <= 1


@pytest.mark.parametrize("alpha", [1e-6, 0.2, 1, 1000.0])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_every_strength_gives_valid_labels(kind, alpha):
    batch, labels = flat_images(10)
    _, target = mixed(batch, labels, **{kind: alpha})
    assert target.isfinite().all()
    torch.testing.assert_close(target.sum(1), torch.ones(10))
    if kind == "mixup" and alpha == 1000:
        assert ((target.max(1).values - 0.5).abs() < 0.1).all()


def test_mixing_follows_the_seed():
    batch, labels = flat_images(10)
    first = mixed(batch, labels, mixup=0.4, cutmix=1.0)
    again = mixed(batch, labels, mixup=0.4, cutmix=1.0)
    other = mixed(batch, labels, seed=1, mixup=0.4, cutmix=1.0)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("loss", ["cross_entropy", "softmax_cross_entropy"])
def test_the_loss_of_a_mixture_is_the_mean_of_both_losses_at_their_shares(loss, smoothing):
    logits = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    first, second, shares = [0, 2], [1, 2], [0.7, 0.4]

    def softmax(row):
        return np.exp(row) / np.exp(row).sum()

    expected = []
    for row, a, b, share in zip(logits, first, second, shares, strict=True):
        scores = softmax(row) if loss == "softmax_cross_entropy" else row
        each = -np.log(softmax(scores))
        of = [(1 - smoothing) * each[label] + smoothing * each.mean() for label in (a, b)]
        expected.append(share * of[0] + (1 - share) * of[1])
    target = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    result = criterion(loss, torch.from_numpy(logits).float(), target, smoothing)
    assert float(result) == pytest.approx(np.mean(expected), rel=1e-6)


def test_labels_of_one_class_give_the_loss_of_that_class():
    logits, labels = torch.randn(8, 5), torch.arange(8) % 5
    shares = torch.eye(5)[labels]
    for smoothing in (0.0, 0.2):
        torch.testing.assert_close(
            criterion("cross_entropy", logits, shares, smoothing),
            criterion("cross_entropy", logits, labels, smoothing),
        )


def step_on(target, micro_batches):
    config = TrialConfig(lr=0.1, batch_size=len(target), optimizer="sgd")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
    optimizer = build_optimizer(config, model)
    prepare = Preparation((0.5,) * 3, (0.5,) * 3, CPU)
    step = Step(
        model, config, optimizer, build_scheduler(config, optimizer, 1),
        torch.amp.GradScaler("cpu", enabled=False), prepare, Autocast("fp32", CPU),
    )  # fmt: skip
    step.micro_batches = micro_batches
    batch = torch.randint(256, (len(target), 8, 8, 3)).to(torch.uint8)
    with torch.no_grad():
        classes = model(prepare(batch)).argmax(1)
    loss, correct = step(batch, target)
    return float(loss), int(correct), classes, model[1].weight.detach()


def test_micro_batches_of_mixtures_give_the_step_of_the_batch():
    target = torch.rand(12, 10, generator=torch.Generator().manual_seed(0))
    target = target / target.sum(1, keepdim=True)
    whole, divided = step_on(target, 1), step_on(target, 4)
    assert divided[0] == pytest.approx(whole[0], rel=1e-5)
    torch.testing.assert_close(divided[3], whole[3])


def test_a_mixture_is_correct_if_its_larger_part_is_recognised():
    *_, classes, _ = step_on(torch.eye(10)[:6], 1)
    target = torch.zeros(6, 10)
    rows = torch.arange(6)
    target[rows, classes] = torch.tensor([0.9, 0.6, 0.51, 0.49, 0.4, 0.1])
    target[rows, (classes + 1) % 10] = 1 - target[rows, classes]
    assert step_on(target, 1)[1] == 3


@pytest.mark.parametrize("changes", BOTH, ids=str)
def test_validation_is_never_mixed(changes, tiny_data):
    still = {"epochs": 1, "lr": 1e-30, "batch_size": 40}
    (plain,), *_ = train(make_config(**still), tiny_data)
    (other,), *_ = train(make_config(**still, **changes), tiny_data)
    assert plain["train_loss"] != other["train_loss"]
    # Batch normalisation follows the mixed images, so the scores are close but not the same.
    assert other["val_loss"] == pytest.approx(plain["val_loss"], rel=0.05)


def test_training_on_mixtures_learns_the_classes(digits):
    data = training_data(digits.images, digits.labels, digits.classes)
    config = make_config(
        epochs=4, batch_size=32, mixup=0.2, cutmix=0.5, augment="photo", horizontal_flip=False,
        model_args={"widths": [8, 16], "kernel_size": 3, "dropout": 0.1},
    )  # fmt: skip
    history = fit(config, data, lambda *_: None)
    assert history[-1]["val_accuracy"] > 0.7


def test_the_class_weight_of_a_mixture_is_the_mean_of_its_classes():
    logits, weights = torch.randn(3, 4), torch.tensor([1.0, 2.0, 0.5, 3.0])
    labels = torch.tensor([0, 2, 3])
    hard = criterion("cross_entropy", logits, labels, class_weights=weights)
    pure = criterion("cross_entropy", logits, F.one_hot(labels, 4).float(), class_weights=weights)
    torch.testing.assert_close(pure, hard)
    halves = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    mixed = criterion("cross_entropy", logits[:1], halves, class_weights=weights)
    torch.testing.assert_close(mixed, -1.5 * (halves * logits[:1].log_softmax(1)).sum())
