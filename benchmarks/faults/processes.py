"""Faults of processes: kills of workers, of Ray and of the driver, and trials that do harm."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import psutil

from benchmarks.faults.job import Job, Outcome
from benchmarks.faulty_nets import HARMS
from tune_jobs.analysis.results import load_trials

KILLS = 20
PER_GRID = 3
"""Kills of a grid: a trial whose worker dies more often fails, by design."""


def kill_workers(job: Job) -> Outcome:
    """SIGKILL of the worker of a trial, at random moments."""
    generator = random.Random(0)

    def moment(grid: Job) -> list[psutil.Process]:
        time.sleep(generator.uniform(0, 4))
        return generator.sample(workers(grid), min(1, len(workers(grid))))

    return kill_at(job, moment, KILLS)


def kill_in_writes(job: Job) -> Outcome:
    """SIGKILL of all workers when one of them begins to write a checkpoint."""

    def moment(grid: Job) -> list[psutil.Process]:
        known, found = set(grid.run.glob("*/checkpoint_*")), workers(grid)
        grid.wait(lambda: bool(set(grid.run.glob("*/checkpoint_*")) - known), every=0.0005)
        return found

    return kill_at(job, moment, KILLS // 2)


def workers(grid: Job) -> list[psutil.Process]:
    """Return the processes that train."""
    return grid.processes("ray::ImplicitFunc")


def kill_at(job: Job, moment: Callable[[Job], list[psutil.Process]], kills: int) -> Outcome:
    """Kill what a function returns when it does, some times in each of several grids."""
    killed = same = torn = 0
    slowest, ends = 0.0, set()
    while killed < kills:
        grid = Job(job.folder / f"grid-{killed}")
        grid.start()
        before = killed
        grid.until(2)
        while killed - before < PER_GRID and grid.is_running():
            if victims := moment(grid):
                start = time.monotonic()
                for each in victims:
                    each.kill()
                killed += 1
                torn += incomplete(grid)
                grid.recover(start)
        ends.add(end := grid.ending(grid.end()))
        same += (killed - before) * (end == "identical")
        slowest = max(slowest, grid.slowest)
        if killed == before:
            break
    how = f"{torn} kills left a checkpoint incomplete; " * bool(torn) + ", ".join(sorted(ends))
    return Outcome(how, killed, same, "the current epoch", slowest)


def incomplete(grid: Job) -> bool:
    """Return whether a newest checkpoint lacks files, or has shorter ones, of the one before."""
    for trial in {file.parent for file in grid.run.glob("*/checkpoint_*")}:
        folders = sorted(trial.glob("checkpoint_*"))
        sizes = [{file.name: file.stat().st_size for file in each.iterdir()} for each in folders]
        if len(sizes) > 1 and any(
            sizes[-1].get(name, 0) < 0.9 * size for name, size in sizes[-2].items()
        ):
            return True
    return False


def kill_raylet(job: Job) -> Outcome:
    """SIGKILL of the raylet."""
    return kill_part(job, "raylet/raylet")


def kill_gcs(job: Job) -> Outcome:
    """SIGKILL of Ray's head process (GCS)."""
    return kill_part(job, "gcs_server")


def kill_part(job: Job, name: str) -> Outcome:
    """Kill a process of Ray, and resume."""
    job.start()
    job.until(5)
    for each in job.processes(name):
        each.kill()
    return end_and_resume(job)


def end_and_resume(job: Job) -> Outcome:
    """Wait for the end of an injured grid, and resume it."""
    start = time.monotonic()
    code = job.end()
    ended = f"ended after {time.monotonic() - start:.0f} s, {job.ending(code)}"
    return job.outcome(f"{ended}; resumed: {job.resume()}")


def terminate_group(job: Job) -> Outcome:
    """SIGTERM to the driver and its Ray, as of a batch system."""
    job.start()
    job.until(5)
    job.kill(signal.SIGTERM)
    return end_and_resume(job)


def harmful_networks(job: Job) -> Outcome:
    """Networks that do harm in their tenth step, a trial each."""
    models = [f"benchmarks.faulty_nets:{name}" for name in HARMS if name != "needs_30_gb"]
    job.start(job=[
        "tune_jobs/finetune.py", "--models", *models, "--weights", "none", "--lr", "1e-3",
        "--epochs", "2", "--trial-timeout", "20", "--name", "grid",
    ])  # fmt: skip
    if code := job.end():
        return Outcome(job.ending(code), len(models))
    rows = load_trials(job.run).to_dict("records")
    ends = [f"{row['config/model'].split(':')[1]}: {row['status']} ({row['error']})"
            for row in rows]  # fmt: skip
    return Outcome("; ".join(ends), len(models), len(rows))
