"""Injure real jobs, and say what they survive.

    python -m benchmarks.faults [FAULT ...]

Each fault is done to a grid of two learning rates on digits, or to the machine below it. A line of
a Markdown table says what was injured, how the job ended, whether its trials are those of an
unharmed grid in the end (weights and metrics, to the bit), epochs that were trained again, and the
seconds until it trained again. Faults of the disk, of /dev/shm and of the home need root.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.faulty_nets import HARMS
from tune_jobs.analysis.results import load_epochs, load_trials

HERE = Path(__file__).parents[1]
GRID = ["tune_jobs/lr_grid.py", "--lr", "1e-3", "3e-3", "--epochs", "20", "--name", "grid"]
TIMES = ["seconds", "images_per_second", "peak_memory_mb", "finished", "checkpoint", "timestamp"]
KILLS = 20
LIMIT_S = 240


class Job:
    """A grid in a folder of its own, as a process that can be killed with all that it started."""

    def __init__(self, folder: Path):
        self.folder, self.run, self.log = folder, folder / "grid", folder / "job.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *words: str, wrapper: tuple[str, ...] = ()) -> None:
        """Start the grid, with more options, in a wrapper such as unshare."""
        command = [*wrapper, sys.executable, *GRID, "--storage-path", str(self.folder), *words]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=HERE, stdout=log, stderr=log, start_new_session=True,
                env=os.environ | {"PYTHONPATH": str(HERE)},
            )  # fmt: skip

    def epochs(self) -> int:
        """Return the number of epochs in the tables."""
        with contextlib.suppress(Exception):  # a table that is being replaced
            return len(load_epochs(self.run))
        return 0

    def until(self, epochs: int) -> None:
        """Wait until so many epochs are in the tables, or the job has ended."""
        assert self.process is not None
        end = time.monotonic() + LIMIT_S
        while self.epochs() < epochs and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)

    def end(self) -> int:
        """Wait for the end of the job, and return its exit code; -1 if it did not end."""
        assert self.process is not None
        try:
            return self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -1

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the driver and all that it started."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def processes(self, name: str) -> list[psutil.Process]:
        """Return the processes below the driver whose command has a word."""
        assert self.process is not None
        found = []
        for each in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if name in " ".join(each.cmdline()):
                    found.append(each)
        return found

    def resume(self) -> str:
        """Resume the grid, and describe its end."""
        before = self.epochs()
        start = time.monotonic()
        self.start("--resume")
        self.until(before + 1)
        seconds = time.monotonic() - start
        return f"resumed after {seconds:.0f} s: {self.outcome(self.end())}"

    def said(self) -> str:
        """Return the last error or instruction in the log."""
        lines = [line.strip() for line in self.log.read_text().splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error:")]
        if any("Traceback" in line for line in lines):
            return "A TRACEBACK"
        if errors:
            return errors[-1][:150]
        return (
            "the command that resumes" if any("--resume" in each for each in lines) else "nothing"
        )

    def outcome(self, code: int) -> str:
        """Compare the trials with those of the unharmed grid."""
        if code != 0:
            return f"exit code {code}, says {self.said()}"
        same = [
            table.equals(other) for table, other in zip(tables(self.run), REFERENCE, strict=True)
        ]
        return "identical" if all(same) else "DIFFERENT"


REFERENCE: list[pd.DataFrame] = []
"""Tables of an unharmed grid."""


def tables(run: Path) -> list[pd.DataFrame]:
    """Return trials and epochs of a run, without times."""
    frames = []
    for frame, keys in ((load_trials(run), ["trial"]), (load_epochs(run), ["trial", "epoch"])):
        kept = [name for name in frame if not any(each in str(name) for each in TIMES)]
        frames.append(frame[kept].sort_values(keys).reset_index(drop=True))
    return frames


def kill_workers(job: Job) -> str:
    """SIGKILL of the worker of a trial, at 20 random moments."""
    killed = waited = 0
    generator = random.Random(0)
    job.start("--cpus-per-trial", "2")
    job.until(1)
    while killed < KILLS and job.process and job.process.poll() is None:
        time.sleep(generator.uniform(0, 3))
        workers = job.processes("ray::")
        trials = [each for each in workers if "ImplicitFunc" in " ".join(each.cmdline())]
        if trials:
            trials[0].kill()
            killed += 1
            before, start = job.epochs(), time.monotonic()
            job.until(before + 1)
            waited = max(waited, round(time.monotonic() - start))
    return f"{killed} kills, at most {waited} s without an epoch: {job.outcome(job.end())}"


def kill_raylet(job: Job) -> str:
    """SIGKILL of the raylet."""
    return kill_part(job, "raylet/raylet")


def kill_gcs(job: Job) -> str:
    """SIGKILL of Ray's head process (GCS)."""
    return kill_part(job, "gcs_server")


def kill_part(job: Job, name: str) -> str:
    """Kill a process of Ray, and resume."""
    job.start()
    job.until(5)
    for each in job.processes(name):
        each.kill()
    start = time.monotonic()
    code = job.end()
    return f"ended after {time.monotonic() - start:.0f} s, {job.outcome(code)}; {job.resume()}"


def kill_driver(job: Job) -> str:
    """SIGKILL of the driver with its Ray, at 5 random moments."""
    generator, said = random.Random(1), ""
    job.start()
    for _ in range(5):
        job.until(job.epochs() + 1)
        time.sleep(generator.uniform(0, 2))
        job.kill()
        job.end()
        job.start("--resume")
    said = job.outcome(job.end())
    return f"resumed five times: {said}"


def terminate_group(job: Job) -> str:
    """SIGTERM to the driver and its Ray, as of a batch system."""
    job.start()
    job.until(5)
    job.kill(signal.SIGTERM)
    start = time.monotonic()
    code = job.end()
    return f"ended after {time.monotonic() - start:.0f} s, {job.outcome(code)}; {job.resume()}"


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[None]:
    """Mount a small file system at a folder."""
    size = f"size={int(megabytes * 1024)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, how: str) -> None:
    """Change the options of a mount."""
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def full_disk(job: Job) -> str:
    """The disk of the storage path is full, and then has space."""
    job.log = job.folder.with_suffix(".log")
    with small_disk(job.folder, 12):
        job.start()
        ended = job.outcome(job.end())
        readable = f"{job.epochs()} epochs readable"
        remount(job.folder, "size=1g")
        return f"{ended}; {readable}; {job.resume()}"


def deleted(job: Job) -> str:
    """The run folder is deleted while the run goes on."""
    job.start()
    job.until(5)
    shutil.rmtree(job.run)
    return job.outcome(job.end())


def moved(job: Job) -> str:
    """The run folder of a killed run is moved to another storage path."""
    job.start()
    job.until(5)
    job.kill()
    job.end()
    other = Job(job.folder / "other")
    other.folder.mkdir()
    job.run.rename(other.run)
    return other.resume()


def damaged(job: Job, pattern: str, damage: Callable[[Path], object]) -> str:
    """Kill a grid, damage a file of each kind, and resume."""
    job.start()
    job.until(8)
    job.kill()
    job.end()
    files = sorted(job.run.glob(pattern))
    for file in files:
        damage(file)
    return f"{len(files)} files; {job.resume()}"


def truncate(file: Path) -> None:
    """Cut a file to half of its length."""
    os.truncate(file, file.stat().st_size // 2)


def alter(file: Path) -> None:
    """Change a byte in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def truncated_state(job: Job) -> str:
    """The last training states are truncated."""
    return damaged(job, "*/checkpoint_*/state.pt", truncate)


def altered_state(job: Job) -> str:
    """A byte of the last training states is altered."""
    return damaged(job, "*/checkpoint_*/state.pt", alter)


def truncated_tables(job: Job) -> str:
    """trials.parquet and epochs.parquet are truncated."""
    return damaged(job, "*.parquet", truncate)


def truncated_record(job: Job) -> str:
    """run.json is truncated."""
    return damaged(job, "run.json", truncate)


def small_shm(job: Job) -> str:
    """/dev/shm has 64 MB."""
    return in_namespace(job, "mount -t tmpfs -o size=64m tmpfs /dev/shm")


def read_only_home(job: Job) -> str:
    """HOME cannot be written."""
    return in_namespace(job, "export HOME=/sys")


def harmful_networks(job: Job) -> str:
    """Networks that do harm in their tenth step, a trial each."""
    models = [f"benchmarks.faulty_nets:{name}" for name in HARMS]
    command = [sys.executable, "tune_jobs/finetune.py", "--models", *models, "--weights", "none"]
    options = ["--lr", "1e-3", "--epochs", "2", "--trial-timeout", "20", "--name", "grid"]
    with job.log.open("a") as log:
        job.process = subprocess.Popen(
            [*command, *options, "--storage-path", str(job.folder)], cwd=HERE, stdout=log,
            stderr=log, start_new_session=True, env=os.environ | {"PYTHONPATH": str(HERE)},
        )  # fmt: skip
    if code := job.end():
        return f"exit code {code}, says {job.said()}"
    rows = load_trials(job.run).to_dict("records")
    ends = [
        f"{row['config/model'].split(':')[1]}: {row['status']} ({row['error']})" for row in rows
    ]
    return "; ".join(ends)


def in_namespace(job: Job, command: str) -> str:
    """Run the grid after a shell command, with mounts of its own."""
    job.start(wrapper=("unshare", "--mount", "sh", "-c", f'{command} && exec "$@"', "sh"))
    return job.outcome(job.end())


FAULTS = {
    each.__name__: each
    for each in (
        kill_workers,
        kill_raylet,
        kill_gcs,
        kill_driver,
        terminate_group,
        full_disk,
        deleted,
        moved,
        truncated_state,
        altered_state,
        truncated_tables,
        truncated_record,
        small_shm,
        read_only_home,
        harmful_networks,
    )
}
"""Functions that injure a job and return a description of its end, by name."""


def main() -> None:
    """Do the faults that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", choices=[[], *FAULTS])
    chosen = parser.parse_args().faults or list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        unharmed = Job(Path(folder, "unharmed"))
        unharmed.folder.mkdir()
        unharmed.start()
        assert unharmed.end() == 0, unharmed.log.read_text()
        REFERENCE.extend(tables(unharmed.run))
        print("| fault | what happened |\n| --- | --- |", flush=True)
        for name in chosen:
            job = Job(Path(folder, name))
            job.folder.mkdir()
            try:
                what = (FAULTS[name].__doc__ or "").rstrip(".")
                print(f"| {what} | {FAULTS[name](job)} |", flush=True)
            finally:
                job.kill()


if __name__ == "__main__":
    main()
