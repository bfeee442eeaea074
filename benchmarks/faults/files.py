"""Faults of the files of a run: moved, deleted, truncated, altered, of others."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.faults.job import Job, Outcome

WITHOUT_ROOT = (
    "setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner",
    "--inh-caps", "-dac_override,-dac_read_search,-fowner",
)  # fmt: skip
"""Command that takes root's right to read the files of other users away."""


def deleted(job: Job) -> Outcome:
    """The run folder is deleted while the run goes on."""
    job.start()
    job.until(5)
    shutil.rmtree(job.run)
    return Outcome(job.ending(job.end()), lost="the run")


def moved(job: Job) -> Outcome:
    """The run folder of a killed run is moved to another storage path."""
    killed(job)
    other = Job(job.folder / "other")
    job.run.rename(other.run)
    other.seen = job.seen
    return other.outcome(f"resumed: {other.resume()}")


def killed(job: Job) -> None:
    """Start a grid, and kill it."""
    job.start()
    job.until(8)
    job.kill()
    job.end()
    job.note_epochs()


def damaged(job: Job, pattern: str, damage: Callable[[Path], object]) -> Outcome:
    """Kill a grid, damage a file of each kind, and resume."""
    killed(job)
    files = sorted(job.run.glob(pattern))
    for file in files:
        damage(file)
    outcome = job.outcome(f"resumed: {job.resume()}", len(files))
    if outcome.survived == 0:
        outcome.lost = "the run, until they are restored"
    return outcome


def truncate(file: Path) -> None:
    """Cut a file to half of its length."""
    os.truncate(file, file.stat().st_size // 2)


def alter(file: Path) -> None:
    """Change a byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def of_the_future(file: Path) -> None:
    """Add what a later version may write."""
    state = torch.load(file, weights_only=True)
    state["config"]["setting_of_the_future"] = 1
    torch.save(state, file)


def weights_of_the_future(file: Path) -> None:
    """Add a tensor to a file of weights."""
    save_file(load_file(file) | {"layer_of_the_future": torch.zeros(3)}, file)


def truncated_state(job: Job) -> Outcome:
    """The last training states are truncated."""
    return damaged(job, "*/checkpoint_*/state.pt", truncate)


def altered_state(job: Job) -> Outcome:
    """A byte of the last training states is altered."""
    return damaged(job, "*/checkpoint_*/state.pt", alter)


def later_state(job: Job) -> Outcome:
    """The last training states are of a later version."""
    return damaged(job, "*/checkpoint_*/state.pt", of_the_future)


def later_weights(job: Job) -> Outcome:
    """The best weights are of a later version."""
    return damaged(job, "*/checkpoint_*/best.safetensors", weights_of_the_future)


def others_state(job: Job) -> Outcome:
    """The last training states belong to another user, who alone can read them."""
    return of_another(job, "*/checkpoint_*/state.pt")


def others_run(job: Job) -> Outcome:
    """run.json belongs to another user, who alone can read it."""
    return of_another(job, "run.json")


def of_another(job: Job, pattern: str) -> Outcome:
    """Kill a grid, give files to another user, and resume without root's rights."""
    killed(job)
    files = sorted(job.run.glob(pattern))
    for file in files:
        file.chmod(0o600)
        os.chown(file, 65534, 65534)
    job.start("--resume", wrapper=WITHOUT_ROOT)
    job.until(9)
    outcome = job.outcome(f"resumed: {job.ending(job.end())}", len(files))
    if outcome.survived == 0:
        outcome.lost = "the run, until they can be read"
    return outcome


def truncated_tables(job: Job) -> Outcome:
    """trials.parquet and epochs.parquet are truncated."""
    return damaged(job, "*.parquet", truncate)


def truncated_record(job: Job) -> Outcome:
    """run.json is truncated."""
    return damaged(job, "run.json", truncate)


def later_record(job: Job) -> Outcome:
    """run.json is of a later version."""
    return damaged(job, "run.json", lambda file: file.write_text(
        file.read_text().replace('"format": 1', '"format": 99')))  # fmt: skip
