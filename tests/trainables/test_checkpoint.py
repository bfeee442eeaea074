import pickle
import zipfile

import pytest
import torch
from safetensors import SafetensorError

from trainables.checkpoint import (
    CORRECT_FILE,
    load_checkpoint,
    pack,
    save_checkpoint,
    unpack,
)

FILES = ["state.pt", "best.safetensors"]
# Exceptions after which an earlier checkpoint is used.
UNREADABLE = (
    OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError,
    zipfile.BadZipFile,
)  # fmt: skip


def make_state():
    generator = torch.Generator().manual_seed(0)
    weights = {
        "conv": torch.randn(2, 3, 5, 5, generator=generator).to(memory_format=torch.channels_last),
        "steps": torch.tensor(7),
        "half": torch.randn(3, generator=generator).bfloat16(),
    }
    return {
        "config": {"lr": 1e-3, "split": (0.6, 0.2, 0.2), "model_args": {"widths": [4, 8]}},
        "precision": "fp32",
        "history": [{"epoch": 1, "val_accuracy": 0.1 + 0.2}, {"epoch": 2, "val_accuracy": 0.5}],
        "model": weights,
        "optimizer": {
            "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(2)}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}],
        },
        "scheduler": {"last_epoch": 3, "_last_lr": [1e-3]},
        "scaler": {},
        "rng": {"order": generator.get_state(), "cpu": torch.get_rng_state()},
        "best": {name: value + 1 for name, value in weights.items()},
        "correct": pack(torch.tensor([True, False, True])),
    }


def flat(value):
    """Nested dicts and lists as one list of plain values; tensors with type and content."""
    if isinstance(value, dict):
        return [(key, flat(value[key])) for key in sorted(value)]
    if isinstance(value, list | tuple):
        return [type(value), *map(flat, value)]
    if isinstance(value, torch.Tensor):
        return [value.dtype, value.shape, value.tolist()]
    return value


def test_a_state_comes_back_to_the_bit(tmp_path):
    state = make_state()
    save_checkpoint(tmp_path, state)
    assert flat(load_checkpoint(tmp_path)) == flat(state)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*FILES, CORRECT_FILE])
    (tmp_path / CORRECT_FILE).unlink()  # as in checkpoints of earlier versions
    assert load_checkpoint(tmp_path)["correct"] == b""


@pytest.mark.parametrize("images", [1, 8, 9, 100])
def test_the_bits_of_images_come_back(images):
    correct = torch.arange(images) % 3 == 0
    content = pack(correct)
    assert len(content) == -(-images // 8)
    assert unpack(content, images).tolist() == correct.tolist()
    with pytest.raises(ValueError, match="are not the bits"):
        unpack(content, images + 8)


def test_saving_leaves_the_state_as_it_is_and_overwrites_the_last_one(tmp_path):
    state = make_state()
    save_checkpoint(tmp_path, state)
    assert flat(state) == flat(make_state())
    state["history"].append({"epoch": 3})
    save_checkpoint(tmp_path, state)
    assert len(load_checkpoint(tmp_path)["history"]) == 3


class Intruder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return self.path.mkdir, ()


def test_a_state_that_would_run_code_is_refused_without_running_it(tmp_path):
    save_checkpoint(tmp_path, make_state())
    trace = tmp_path / "was here"
    torch.save({**make_state(), "scaler": Intruder(trace)}, tmp_path / "state.pt")
    with pytest.raises(pickle.UnpicklingError):
        load_checkpoint(tmp_path)
    assert not trace.exists()
    torch.load(tmp_path / "state.pt", weights_only=False)  # it would have run
    assert trace.exists()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("fraction", [0, 0.0005, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(file, fraction, tmp_path):
    save_checkpoint(tmp_path, make_state())
    path = tmp_path / file
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(UNREADABLE):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.7])
def test_a_file_with_an_altered_byte_is_refused(file, fraction, tmp_path):
    save_checkpoint(tmp_path, make_state())
    content = bytearray((tmp_path / file).read_bytes())
    content[int(fraction * len(content))] ^= 0xFF
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UNREADABLE):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_refused(file, tmp_path):
    save_checkpoint(tmp_path, make_state())
    (tmp_path / file).unlink()
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path)
