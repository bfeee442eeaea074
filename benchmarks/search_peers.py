"""One search by one searcher, in a process of its own; prints its result as JSON.

    python -m benchmarks.search_peers NAME FOLDER --data digits --budget 60 --seed 0

All train with our own `fit` over our default space, one core a trial, two trials at a time. What
differs is who proposes settings and who stops trials:

- bakeoff: our job, as a person runs it, start included;
- optuna: two processes of `study.optimize` on one SQLite file, its default TPE sampler and median
  pruner;
- ray: `OptunaSearch` and `ASHAScheduler` as Ray's own example wires them;
- syne_tune: its ASHA on its local backend, in an environment of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import syne_tune_peer
from trainables.config import RECIPES, TrialConfig
from trainables.data import TrainingData, split
from trainables.errors import DivergedError
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space import suggest, to_config

EPOCHS = 12
BASE = dataclasses.replace(
    TrialConfig(**dataclasses.asdict(RECIPES["standard"]), lr=1e-3), epochs=EPOCHS
)


def load(source: str, images: int) -> TrainingData:
    """The images that every searcher trains on: every k-th of the training part."""
    from trainables.sources import load_dataset

    dataset = load_dataset(source)
    data = TrainingData.of(dataset, split(dataset))
    every = max(1, len(data.train_labels) // images)
    return dataclasses.replace(
        data, train_images=data.train_images[::every], train_labels=data.train_labels[::every]
    )


def optuna_worker(database: str, data: TrainingData, seed: int, deadline: float) -> None:
    """One process of plain Optuna."""
    import optuna
    import torch

    from trainables.loop import fit

    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(
        study_name="peer", storage=database, sampler=optuna.samplers.TPESampler(seed=seed)
    )

    def objective(trial: optuna.Trial) -> float:
        best = 0.0

        def report(metrics: dict[str, float], _: Any) -> None:
            nonlocal best
            best = max(best, metrics["val_accuracy"])
            trial.report(metrics["val_accuracy"], int(metrics["epoch"]))
            trial.set_user_attr("best", best)
            if trial.should_prune() or time.time() > deadline:
                raise optuna.TrialPruned

        try:
            fit(to_config(suggest(default_space(), trial), BASE), data, report)
        except DivergedError as error:
            raise optuna.TrialPruned from error
        return best

    study.optimize(objective, timeout=max(0.0, deadline - time.time()))


def plain_optuna(folder: Path, options: argparse.Namespace, start: float) -> dict[str, Any]:
    """Two processes and one SQLite file."""
    import optuna

    database = f"sqlite:///{folder}/peer.db"
    optuna.create_study(study_name="peer", storage=database, direction="maximize")
    data = load(options.data, options.images)
    context = get_context("spawn")
    workers = [
        context.Process(
            target=optuna_worker,
            args=(database, data, 2 * options.seed + i, start + options.budget),
        )
        for i in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    trials = optuna.load_study(study_name="peer", storage=database).trials
    return {"best": max(t.user_attrs.get("best", 0.0) for t in trials), "trials": len(trials)}


def define(trial: Any) -> dict[str, Any]:
    """Our space, define-by-run; Ray pickles it, so it stands here."""
    return {"trial": to_config(suggest(default_space(), trial), BASE).to_dict()}


def ray_example(folder: Path, options: argparse.Namespace, start: float) -> dict[str, Any]:
    """OptunaSearch and ASHA with Ray's defaults."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    def train(config: dict[str, Any], data: TrainingData) -> None:
        import torch

        from trainables.loop import fit

        torch.set_num_threads(1)
        fit(
            TrialConfig.from_dict(config["trial"]),
            data,
            lambda metrics, _: tune.report({"accuracy": metrics["val_accuracy"]}),
        )

    ray.init("local", include_dashboard=False, log_to_driver=False)
    data = load(options.data, options.images)
    results = tune.Tuner(
        tune.with_parameters(train, data=data),
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(define, metric="accuracy", mode="max", seed=options.seed),
            scheduler=ASHAScheduler(metric="accuracy", mode="max", max_t=EPOCHS),
            num_samples=-1,
            time_budget_s=max(1.0, start + options.budget - time.time()),
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    frame = results.get_dataframe(filter_metric="accuracy", filter_mode="max")
    return {"best": float(frame["accuracy"].max()), "trials": len(results)}


def bakeoff(folder: Path, options: argparse.Namespace, start: float) -> dict[str, Any]:
    """Our job on the same images, cut alike."""
    from tune_jobs.analysis.results import load_trials

    left = start + options.budget - time.time()
    command = [sys.executable, "-c", OURS, options.data, options.images]
    command += ["--data", options.data, "--epochs", EPOCHS, "--trials", 10_000, "--max-time",
                f"{left:.0f}s", "--seed", options.seed, "--storage-path", folder]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    trials = load_trials(folder / "optuna-search")
    return {"best": float(trials["best/val_accuracy"].max()), "trials": len(trials)}


# The job has no option to train on a part of the images.
OURS = """
import sys
from benchmarks.search_peers import load
from trainables.data import TrainingData
from tune_jobs import optuna_search
data = load(sys.argv[1], int(sys.argv[2]))
del sys.argv[1:3]
TrainingData.of = staticmethod(lambda dataset, parts: data)
optuna_search.optuna_search()
"""

PEERS = {
    "bakeoff": bakeoff,
    "optuna": plain_optuna,
    "ray": ray_example,
    "syne_tune": syne_tune_peer.search,
}


def main() -> None:
    """Run one search, from the start of this process to the end of its budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PEERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--budget", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.time()
    result = PEERS[options.name](options.folder, options, start)
    print(json.dumps(result | {"seconds": time.time() - start}))


if __name__ == "__main__":
    main()
