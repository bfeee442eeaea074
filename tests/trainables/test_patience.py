import pytest

from tests.trainables.test_loop import assert_identical, make_config, train, train_until
from trainables.loop import fit
from trainables.patience import is_trained
from trainables.target import TARGETS


@pytest.fixture
def scores(monkeypatch):
    """Sets the value of every metric after each epoch."""

    def set_(*values):
        left = iter(values)
        monkeypatch.setattr(
            "trainables.metrics.classification_scores",
            lambda *_: dict.fromkeys(TARGETS, next(left)),
        )

    return set_


@pytest.mark.parametrize(
    ("metric", "patience", "values", "epochs"),
    [
        ("accuracy", 1, [0.5, 0.6, 0.6, 0.9], 3),
        ("accuracy", 2, [0.5, 0.4, 0.6, 0.5, 0.6, 0.9], 5),
        ("log_loss", 1, [0.5, 0.4, 0.6, 0.1], 3),
        ("accuracy", 9, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], 6),
        ("accuracy", None, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], 6),
    ],
)
def test_a_trial_ends_so_many_epochs_after_its_best(
    metric, patience, values, epochs, scores, tiny_data
):
    scores(*values)
    config = make_config(epochs=6, patience=patience, metric=metric)
    history = fit(config, tiny_data, lambda *_: None)
    assert [epoch[f"val_{metric}"] for epoch in history] == values[:epochs]
    assert is_trained(config, history)
    assert not is_trained(config, history[:-1])


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_an_interrupted_trial_ends_after_the_same_epoch(stop, scores, tiny_data, tmp_path):
    values = 0.5, 0.6, 0.4, 0.3, 0.9
    config = make_config(epochs=8, patience=2)
    scores(*values)
    whole = train(config, tiny_data)
    assert len(whole[0]) == 4
    scores(*values)
    state = train_until(stop, config, tiny_data, tmp_path)
    assert_identical(train(config, tiny_data, resume=state), whole)


def test_a_trial_whose_patience_has_run_out_is_not_trained_again(scores, tiny_data):
    scores(0.5, 0.5)
    states = []
    config = make_config(epochs=5, patience=1)
    history = fit(config, tiny_data, lambda _, state: states.append(state))
    reports = []
    assert fit(config, tiny_data, lambda *each: reports.append(each), resume=states[-1]) == history
    assert not reports
