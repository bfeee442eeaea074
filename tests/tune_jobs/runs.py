"""Make run folders as jobs write them, without Ray."""

import dataclasses
import json
import math
import time
from pathlib import Path

import pytest
import ray
from rich.console import Console

from trainables.checkpoint import save_checkpoint
from trainables.config import TrialConfig
from trainables.loop import fit
from trainables.metrics import EPOCH_METRICS
from trainables.models.weights import read_weights
from trainables.target import TARGETS
from tune_jobs.command_line.options import DataOptions, JobOptions, RunOptions
from tune_jobs.command_line.parser import CommandLine
from tune_jobs.lr_grid import GridOptions
from tune_jobs.ray_runtime import capacity
from tune_jobs.run_folder.checkpoints import write_initial_weights
from tune_jobs.run_folder.folder import EPOCHS_FILE, RUN_FILE, TRIALS_FILE, RunFolder
from tune_jobs.run_folder.schema import EPOCH_SCHEMA, TRIAL_SCHEMA, config_columns, summary_columns
from tune_jobs.test_set.ledger import LEDGER_FOLDER
from tune_jobs.tuning import run_json
from tune_jobs.tuning.data import read_images
from tune_jobs.tuning.found_images import find_images
from tune_jobs.tuning.job import views_of
from tune_jobs.tuning.sizes import sized
from tune_jobs.tuning.tuner import count_parameters


def typed(options):
    """Return a command line with these options, started just now."""
    return CommandLine(options, ("tune_jobs/job.py",), time.monotonic())


QUIET = Console(quiet=True)
NODE = {"Alive": True, "Resources": {"CPU": 2}}


def write_run(
    path: Path, configs: dict[str, TrialConfig], data_options: DataOptions, job: str = "lr-grid"
) -> Path:
    """Train all trials, one after another, and write their run folder."""
    folder = RunFolder.at(path)
    folder.make()
    first = next(iter(configs.values()))
    own = type("Options", (JobOptions,), {"job": job})
    options = own(data=data_options, run=RunOptions(name=path.name, storage_path=str(path.parent)))
    split = dataclasses.replace(options.training, split=first.split, metric=first.metric)
    options = dataclasses.replace(options, training=split)
    found = find_images(data_options)
    configs = {
        name: config if config.view else sized(config, data_options.image_size[0], found)
        for name, config in configs.items()
    }
    views = views_of(list(configs.values()))
    data = read_images(found, views, first.split, smoke_test=False, console=QUIET)
    weights = {
        config.model: read_weights(config.model, config.weights)
        for config in configs.values()
        if config.weights != "none"
    }
    write_initial_weights(folder, weights, list(configs.values()))
    rows, epoch_rows = [], []
    for name, config in configs.items():
        checkpoint = path / name / "checkpoint_000000"
        checkpoint.mkdir(parents=True)
        saved = {}

        def keep(metrics, state, checkpoint=checkpoint, saved=saved):
            saved["weights_sha256"] = save_checkpoint(checkpoint, state)

        start = None if config.weights == "none" else weights[config.model]
        history = fit(config, data.trials.training_data(config), keep, weights=start)
        epochs = [{"trial": name, **epoch, "epoch": int(epoch["epoch"])} for epoch in history]
        rows.append(
            {
                "trial": name,
                "status": "finished",
                **config_columns(config),
                **summary_columns(epochs, TARGETS[config.metric]),
                "parameters": count_parameters(config, data.trials),
                "device": "cpu",
                "precision": "fp32",
                "checkpoint": f"{name}/checkpoint_000000",
                **saved,
            }
        )
        epoch_rows += epochs
    folder.write_rows(TRIALS_FILE, rows, TRIAL_SCHEMA)
    folder.write_rows(EPOCHS_FILE, epoch_rows, EPOCH_SCHEMA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "nodes", lambda: [NODE])
        patch.setattr(capacity, "node_types", lambda: ([], 0))
        record = run_json.describe_run(typed(options), data, weights)
    folder.write_json(RUN_FILE, record | {"status": "finished", "ended": record["started"]})
    return path


def write_tables(path: Path, trials: dict[str, list[float]], **record) -> Path:
    """Write the tables of a grid whose trials have these accuracies, by epoch, without training.

    Args:
        path: folder of the run.
        trials: validation accuracy after each epoch, by name of the trial.
        record: entries of run.json.
    """
    folder, rows, epochs = RunFolder.at(path), [], []
    folder.make()
    for number, (name, scores) in enumerate(trials.items()):
        own = [
            {
                "trial": name,
                "epoch": i,
                **dict.fromkeys(EPOCH_METRICS, 1 / i),
                "features_s": math.nan,
                "val_accuracy": score,
            }
            for i, score in enumerate(scores, 1)
        ]
        config = TrialConfig(lr=10.0 ** -(number + 1), epochs=max(1, len(scores)), image_size=8)
        rows.append(
            {
                "trial": name, "status": "finished", **config_columns(config),
                **summary_columns(own, TARGETS[config.metric]), "parameters": 100, "device": "cpu",
                "checkpoint": f"{name}/checkpoint_000000", "weights_sha256": name,
            }
        )  # fmt: skip
        epochs += own
    folder.write_rows(TRIALS_FILE, rows, TRIAL_SCHEMA)
    folder.write_rows(EPOCHS_FILE, epochs, EPOCH_SCHEMA)
    options = GridOptions(run=RunOptions(name=path.name, storage_path=str(path.parent)))
    folder.write_json(
        RUN_FILE,
        {
            "format": 1, "job": "lr-grid", "command": "bakeoff lr-grid", "status": "finished",
            "started": "2026-11-27T05:00:00+00:00", "ended": "2026-11-27T05:10:00+00:00",
            "resumed": [], "options": dataclasses.asdict(options),
            "dataset": {"name": "digits", "source_fingerprint": "a", "images": 1797},
            "split": {"fingerprint": "s", "seed": 0, "shares": None},
            **record,
        },
    )  # fmt: skip
    return path


def edit_trials(path: Path, change) -> None:
    """Replace each row of trials.parquet by the result of `change`."""
    folder = RunFolder.at(path)
    rows = [change(row) for row in folder.read_rows(TRIALS_FILE)]
    folder.write_rows(TRIALS_FILE, rows, TRIAL_SCHEMA)


def edit_record(path: Path, **changes) -> None:
    """Replace entries of run.json."""
    folder = RunFolder.at(path)
    folder.write_json(RUN_FILE, folder.read_json(RUN_FILE) | changes)


def openings(storage: Path) -> list[dict]:
    """Return the entries of the ledger beside some runs."""
    files = (storage / LEDGER_FOLDER).glob("*.json")
    return [entry for file in files for entry in json.loads(file.read_text())["openings"]]
