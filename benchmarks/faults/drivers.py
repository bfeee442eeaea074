"""SIGKILL of the drivers of jobs that train, with their Ray, at random moments."""

from __future__ import annotations

import random
import time

import pandas as pd

from benchmarks.faults.job import Job, Outcome, tables
from tune_jobs.run_folder.folder import RUN_FILE

KILLS = 20
PER_RUN = 10
"""Kills of a run, after which it may end."""
LONGEST_S = 20
"""Longest time from the start to a kill that does not wait for an epoch."""
PRETRAINED = [f"benchmarks.pretrained_nets:{name}" for name in ("small", "wide", "deep")]
ONE_CPU = ["--cpus-per-trial", "1", "--name", "grid"]
JOBS = {
    "grid": ["tune_jobs/lr_grid.py", "--lr", "1e-3", "3e-3", "--epochs", "20"],
    "search": ["tune_jobs/optuna_search.py", "--trials", "8", "--epochs", "3",
               "--scheduler", "fifo", "--max-concurrent", "1"],
    "finetune": ["tune_jobs/finetune.py", "--models", *PRETRAINED[:1], "--mode", "probe", "full",
                 "gradual", "--lr", "1e-3", "3e-3", "--epochs", "10"],
    "shortlist": ["tune_jobs/shortlist.py", "--models", *PRETRAINED],
}  # fmt: skip
"""Jobs and their options, by name."""


def kill_grid(job: Job) -> Outcome:
    """SIGKILL of the driver of a grid with its Ray, at random moments."""
    return kill_drivers(job, JOBS["grid"])


def kill_search(job: Job) -> Outcome:
    """SIGKILL of the driver of a search with its Ray, at random moments."""
    return kill_drivers(job, JOBS["search"])


def kill_finetune(job: Job) -> Outcome:
    """SIGKILL of the driver of a fine-tuning and probe with its Ray, at random moments."""
    return kill_drivers(job, JOBS["finetune"])


def kill_shortlist(job: Job) -> Outcome:
    """SIGKILL of the driver of a shortlist with its Ray, at random moments."""
    return kill_drivers(job, JOBS["shortlist"])


def kill_drivers(job: Job, words: list[str]) -> Outcome:
    """Kill several runs of a job some times each, and resume them.

    About half of the kills are at any moment, most of them while the job starts, and the others
    are within two seconds after an epoch.
    """
    command = [*words, *ONE_CPU]
    unharmed = Job(job.folder / "unharmed")
    unharmed.start(job=command)
    if code := unharmed.end():
        return Outcome(unharmed.ending(code), 0)
    wanted = tables(unharmed.run)
    generator, killed, same, lost = random.Random(1), 0, 0, 0
    slowest, ends = 0.0, set()
    while killed < KILLS:
        run, kills = Job(job.folder / f"run-{killed}"), 0
        start = time.monotonic()
        run.start(job=command)
        while kills < PER_RUN and killed + kills < KILLS:
            if generator.random() < 0.5:
                time.sleep(generator.uniform(0, LONGEST_S))
            else:
                run.recover(start)
                time.sleep(generator.uniform(0, 2))
            if not run.is_running():
                break
            kills += 1
            run.kill()
            run.end()
            # As a person does, who sees no run to resume.
            resumed = ["--resume"] if (run.run / RUN_FILE).exists() else []
            start = time.monotonic()
            run.start(*resumed, job=command)
        code = run.end()
        if code:
            ends.add(run.ending(code))
        else:
            alike = same_results(tables(run.run), wanted)
            ends.add("identical" if alike else f"DIFFERENT ({run.folder.name})")
            same += kills * alike
            lost += run.outcome("").lost != "the current epoch"
        killed, slowest = killed + kills, max(slowest, run.slowest)
        if code:
            break
    how = f"the same command with --resume goes on: {', '.join(sorted(ends))}"
    what = f"recorded epochs in {lost} runs" if lost else "the current epoch"
    return Outcome(how, killed, same, what, slowest or None)


def same_results(found: list[pd.DataFrame], wanted: list[pd.DataFrame]) -> bool:
    """Return whether all trials have ended as in an unharmed run.

    After a kill, a search proposes by another random seed: its trials are compared as far as they
    have the settings of those of the unharmed run, as the first ones have.
    """
    trials, others = found[0], wanted[0]
    if len(trials) != len(others) or set(trials["status"]) - {"finished"}:
        return False
    settings = [name for name in others if str(name).startswith("config/")]
    alike = (trials[settings].map(repr) == others[settings].map(repr)).all(axis=1)
    names = others["trial"][alike]
    return bool(alike.any()) and all(
        a[a["trial"].isin(names)].equals(b[b["trial"].isin(names)])
        for a, b in zip(found, wanted, strict=True)
    )
