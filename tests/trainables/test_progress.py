import time

from tests.trainables.test_loop import make_config
from trainables.loop import fit
from trainables.progress import EpochProgress


def test_the_images_of_an_epoch_are_sent_at_once_and_then_once_a_second(monkeypatch):
    sent, now = [], time.monotonic()
    epochs = EpochProgress(lambda *message: sent.append(message))
    epochs.images = 100
    for tenths in range(21):
        monkeypatch.setattr(time, "monotonic", lambda: now + 1 + tenths / 10)  # noqa: B023
        epochs.advance(4)
    assert sent == [(1, 4, 100), (1, 44, 100), (1, 84, 100)]
    epochs.start(2)
    monkeypatch.setattr(time, "monotonic", lambda: now + 5)
    epochs.advance(4)
    assert sent[-1] == (2, 4, 100)


def test_a_training_advances_by_each_image_of_each_epoch(tiny_data):
    steps = []
    fit(make_config(epochs=2), tiny_data, lambda *_: None, advance=steps.append)
    assert sum(steps) == 2 * (len(tiny_data.train_labels) + len(tiny_data.val_labels))
