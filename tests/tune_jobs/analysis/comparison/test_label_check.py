import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from tests.tune_jobs.analysis.comparisons import CIFAR10
from trainables.image_rows import ImageRows
from tune_jobs.analysis.comparison.label_check import MOST_SHOWN, doubtful, label_check


def test_most_of_the_first_doubts_are_labels_that_were_changed(digits):
    """5% of the digits get another label; models are then fitted to the labels as they are."""
    generator = np.random.default_rng(0)
    rows = generator.permutation(len(digits.labels))[:800]
    labels = digits.labels[rows].copy()
    planted = generator.choice(len(rows), 40, replace=False)
    labels[planted] = (labels[planted] + generator.integers(1, 10, len(planted))) % 10
    pixels = digits.images[rows][..., 0].reshape(len(rows), -1) / 255
    probabilities = cross_val_predict(
        LogisticRegression(C=1.0), pixels, labels, cv=3, method="predict_proba"
    )
    found = doubtful(labels, probabilities)
    first = np.isin(found[: len(planted)], planted)
    assert first.mean() >= 0.8  # precision among the first 40
    assert np.isin(planted, found).mean() >= 0.6  # recall of all doubts
    own = probabilities[found, labels[found]]
    assert (np.diff(own) >= 0).all()  # the least probable label first


def test_a_doubt_names_the_image_its_label_and_the_suggestion():
    labels = np.repeat(np.arange(10), 8)
    probabilities = np.full((80, 10), 0.01)
    probabilities[np.arange(80), labels] = 0.91
    wrong = [5, *range(40, 56)]  # an airplane that is a ship, and more than are shown
    probabilities[wrong] = 0.01
    probabilities[wrong, 8] = 0.91
    pixels = np.arange(80, dtype=np.uint8)[:, None, None, None].repeat(3, axis=3)
    parts = ["validation"] * 40 + ["test"] * 40
    check = label_check("a test", labels, probabilities, CIFAR10, parts,
                        [f"{i}.jpg" for i in range(80)], ImageRows(pixels))  # fmt: skip
    assert (check.subject, check.images) == ("validation and test", 80)
    doubt = next(each for each in check.doubtful if each.file == "5.jpg")
    assert (doubt.part, doubt.label, doubt.suggested) == ("validation", "airplane", "ship")
    assert (doubt.label_probability, doubt.suggested_probability) == (0.01, 0.91)
    assert len([each for each in check.doubtful if each.image is not None]) == MOST_SHOWN
    assert all(each.image is None or f"{each.image.max()}.jpg" == each.file
               for each in check.doubtful)  # fmt: skip


def test_a_class_without_images_and_a_model_without_doubts_are_no_error():
    labels = np.array([0, 0, 1, 1, 1])
    assert len(doubtful(labels, np.eye(3)[labels] * 0.97 + 0.01)) == 0
