"""One search by one searcher, in its own process; prints the result as JSON.

    python -m benchmarks.search_peers NAME FOLDER --data digits --budget 60 --seed 0

All searchers train with our `fit` over our default search space: two concurrent trials, one core
each. They differ in the search algorithm and the scheduler:

- bakeoff: optuna_search.py as a user runs it, startup included;
- optuna: two processes of `study.optimize` on one SQLite file, with Optuna's default sampler (TPE)
  and pruner (median);
- ray: `OptunaSearch` and `ASHAScheduler` as in Ray's example;
- syne_tune: Syne Tune's ASHA on its local backend, in its own environment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks import syne_tune_peer
from benchmarks.search_setup import BASE, EPOCHS, SIZE, load
from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.errors import DivergedError
from tune_jobs.search_space.defaults import default_space
from tune_jobs.search_space.space import suggest, to_config


def optuna_worker(database: str, data: TrainingData, seed: int, deadline: float) -> None:
    """Run trials of plain Optuna in this process until the deadline."""
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
    """Search with plain Optuna in two processes on one SQLite file."""
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
    """Sample our search space, define-by-run; at module level, as Ray pickles it."""
    return {"trial": to_config(suggest(default_space(), trial), BASE).to_dict()}


def ray_example(folder: Path, options: argparse.Namespace, start: float) -> dict[str, Any]:
    """Search with Ray's OptunaSearch and ASHA, with their defaults."""
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
    """Search with optuna_search.py on the same images and split."""
    from tune_jobs.analysis.results import load_trials

    left = start + options.budget - time.time()
    command = [sys.executable, "-c", OURS, options.images]
    command += ["--data", options.data, "--image-size", SIZE, "--epochs", EPOCHS,
                "--trials", 10_000, "--max-time", f"{left:.0f}s", "--seed", options.seed,
                "--storage-path", folder]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    trials = load_trials(folder / "optuna-search")
    return {"best": float(trials["best/val_accuracy"].max()), "trials": len(trials)}


# The job has no option to train on a subset of the images.
OURS = """
import sys
from benchmarks.images import fewer_to_train
from trainables import data
from tune_jobs import optuna_search
count, split = int(sys.argv.pop(1)), data.split
# Before the job imports it.
data.split = lambda *arguments: fewer_to_train(split(*arguments), count)
optuna_search.optuna_search()
"""

PEERS = {
    "bakeoff": bakeoff,
    "optuna": plain_optuna,
    "ray": ray_example,
    "syne_tune": syne_tune_peer.search,
}


def main() -> None:
    """Run one search, whose budget includes the startup of this process."""
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
