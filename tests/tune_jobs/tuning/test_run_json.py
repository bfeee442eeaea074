import copy

import pytest

from trainables.errors import InputError
from tune_jobs.tuning.run_json import continued

RECORD = {
    "started": "2026-01-01T00:00:00+00:00",
    "status": "interrupted",
    "resumed": [],
    "options": {},
    "dataset": {"name": "digits", "fingerprint": "images"},
    "split": {"fingerprint": "cut"},
    "weights": {"resnet18": "weights"},
}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("dataset", {"fingerprint": "others"}),
        ("split", {"fingerprint": "others"}),
        ("weights", {"resnet18": "others"}),
    ],
)
def test_a_run_goes_on_with_the_images_the_cut_and_the_weights_it_began_with(part, change):
    assert continued(RECORD, copy.deepcopy(RECORD))["status"] == "running"
    with pytest.raises(InputError, match="start another run"):
        continued(RECORD, RECORD | {part: RECORD[part] | change})


def test_a_run_that_does_not_say_how_it_is_cut_goes_on():
    continued(RECORD | {"split": {}}, RECORD)
