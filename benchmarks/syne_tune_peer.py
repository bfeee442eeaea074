"""Search with Syne Tune's ASHA on its local backend; run as a script, one trial of that search."""

from __future__ import annotations

import contextlib
import json
import os
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.search_setup import BASE, EPOCHS, load
from trainables.data import ImageRows, TrainingData
from trainables.errors import DivergedError
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space import Parameter, to_config

IMAGES, LABELS = ("train_images", "val_images"), ("train_labels", "val_labels")
"""Fields of TrainingData that the trials read from files."""
POLL_S = 0.5
"""Polling interval in seconds; the default of 5 s is as long as some trials."""


def domain(parameter: Parameter) -> Any:
    """Return a parameter as a Syne Tune domain, with choices as JSON text, as some are lists.

    Syne Tune has no conditional parameters: momentum is always sampled, and unused without SGD.
    """
    from syne_tune import config_space

    if parameter.kind == "categorical":
        return config_space.choice(list(map(json.dumps, parameter.choices)))
    if parameter.kind == "int":
        ints = config_space.lograndint if parameter.log else config_space.randint
        return ints(parameter.low, parameter.high)
    floats = config_space.loguniform if parameter.log else config_space.uniform
    return floats(parameter.low, parameter.high)


def search(folder: Path, options: Namespace, start: float) -> dict[str, Any]:
    """Search with two workers, as in Syne Tune's example; each trial is a separate process."""
    os.environ["SYNETUNE_FOLDER"] = str(folder)  # read when syne_tune is imported
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])  # the trials import benchmarks too
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.experiments import load_experiment
    from syne_tune.optimizer.baselines import ASHA

    data = load(options.data, options.images)
    os.chdir(folder)  # the tuner leaves a file in the working directory
    for name in IMAGES:
        np.save(folder / f"{name}.npy", getattr(data, name).read())
    for name in LABELS:
        np.save(folder / f"{name}.npy", getattr(data, name))
    (folder / "classes.json").write_text(json.dumps(data.classes))
    space = {parameter.name: domain(parameter) for parameter in default_space().values()}
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=__file__, pass_args_as_json=True),
        scheduler=ASHA(
            {**space, "folder": str(folder)},
            metric="val_accuracy",
            time_attr="epoch",
            max_t=EPOCHS,
            do_minimize=False,
            random_seed=options.seed,
        ),
        stop_criterion=StoppingCriterion(
            max_wallclock_time=max(1.0, start + options.budget - time.time())
        ),
        n_workers=2,
        sleep_time=POLL_S,
    )
    tuner.run()
    results = load_experiment(tuner.name).results
    return {"best": float(results["val_accuracy"].max()), "trials": results["trial_id"].nunique()}


def train() -> None:
    """Run one trial with the settings in the file that the backend has written."""
    import torch
    from syne_tune import Reporter
    from syne_tune.utils import add_config_json_to_argparse, load_config_json

    from trainables.loop import fit

    parser = ArgumentParser()
    add_config_json_to_argparse(parser)
    settings = load_config_json(vars(parser.parse_known_args()[0]))
    folder = Path(settings["folder"])
    arrays: dict[str, Any] = {
        name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in IMAGES + LABELS
    }
    arrays |= {name: ImageRows(arrays[name]) for name in IMAGES}
    classes = tuple(json.loads((folder / "classes.json").read_text()))
    data = TrainingData(**arrays, classes=classes)
    space = default_space()
    values = {
        name: json.loads(settings[name]) if space[name].kind == "categorical" else settings[name]
        for name in space
    }
    torch.set_num_threads(1)
    reporter = Reporter()

    def report(metrics: dict[str, float], _: Any) -> None:
        reporter(epoch=int(metrics["epoch"]), val_accuracy=metrics["val_accuracy"])

    with contextlib.suppress(DivergedError):  # a failed trial would end the search
        fit(to_config(values, BASE), data, report)


if __name__ == "__main__":
    train()
