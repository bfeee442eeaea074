"""Faults of the machine: disks that are full or read-only, little memory, and a wrong clock."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.faults.job import Job, Outcome
from tune_jobs.analysis.results import load_trials

CGROUP = Path("/sys/fs/cgroup/memory/bakeoff-faults")
"""Group of processes that stands for a machine of 6 GB (cgroup v1)."""
SMALL_MACHINE = 6 * 10**9
CLOCK = Path(__file__).with_name("clock.c")
"""Library whose clock can be set back. The package libfaketime hangs in locks of Python."""


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[None]:
    """Mount a small file system at a folder."""
    folder.mkdir(exist_ok=True)
    size = f"size={int(megabytes * 1024)}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, how: str) -> None:
    """Change the options of a mount."""
    subprocess.run(["mount", "-o", f"remount,{how}", folder], check=True)


def fill(folder: Path) -> None:
    """Write until a disk is full."""
    with contextlib.suppress(OSError), (folder / "filling").open("wb") as file:
        while True:
            file.write(bytes(2**16))
            file.flush()


def full_disk(job: Job) -> Outcome:
    """The disk of the storage path is full, and then has space."""
    job.log = job.folder.with_suffix(".log")
    with small_disk(job.folder, 12):
        job.start()
        ended = job.ending(job.end())
        readable = f"{job.epochs()} epochs readable"
        remount(job.folder, "size=1g")
        return job.outcome(f"{ended}; {readable}; resumed: {job.resume()}")


def read_only_storage(job: Job) -> Outcome:
    """The disk of the storage path becomes read-only, and then can be written."""
    job.log = job.folder.with_suffix(".log")
    with small_disk(job.folder, 1000):
        job.start()
        job.until(5)
        # The files that are open at this moment are in a copy, as mount refuses otherwise.
        subprocess.run(["mount", "--bind", job.folder, job.folder], check=True)
        remount(job.folder, "bind,ro")
        try:
            ended = job.ending(job.end())
            readable = f"{job.epochs()} epochs readable"
        finally:
            subprocess.run(["umount", "--lazy", job.folder], check=True)
        return job.outcome(f"{ended}; {readable}; resumed: {job.resume()}")


def full_cache(job: Job) -> Outcome:
    """The disk of the cache of images is full, and then has space."""
    cache = job.folder / "cache"
    photographs(job.folder / "images", 400)
    words = ["--data", str(job.folder / "images"), "--image-size", "64", "--epochs", "1"]
    with small_disk(cache, 2):
        job.start(*words, environment={"XDG_CACHE_HOME": str(cache)})
        ended = job.ending(job.end())
        left = "a run folder is left; " * job.run.exists()
        remount(cache, "size=1g")
        job.start(*words, environment={"XDG_CACHE_HOME": str(cache)})
        code = job.end()
    again = "the same command then succeeds" if code == 0 else job.ending(code)
    return Outcome(f"{ended}; {left}{again}", 1, int(code == 0))


def photographs(folder: Path, count: int) -> None:
    """Write images of two classes."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for i in range(count):
        file = folder / "ab"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(file)


def full_temporary(job: Job) -> Outcome:
    """The disk of Ray's temporary folder is full from the fifth epoch on, and then has space."""
    disk = Path("/tmp/bakeoff-full")
    environment = {"RAY_TMPDIR": str(disk)}
    with small_disk(disk, 150):
        job.start(environment=environment)
        job.until(5)
        fill(disk)
        ended = job.ending(job.end())
        if ended == "identical":
            return job.outcome(ended)
        remount(disk, "size=1g")
        return job.outcome(f"{ended}; resumed: {job.resume()}")


def small_temporary(job: Job) -> Outcome:
    """The disk of Ray's temporary folder has 50 MB."""
    disk = Path("/tmp/bakeoff-small")
    with small_disk(disk, 50):
        job.start(environment={"RAY_TMPDIR": str(disk)})
        return job.outcome(job.ending(job.end()))


def small_shm(job: Job) -> Outcome:
    """/dev/shm has 64 MB."""
    return in_namespace(job, "mount -t tmpfs -o size=64m tmpfs /dev/shm")


def read_only_home(job: Job) -> Outcome:
    """HOME cannot be written."""
    return in_namespace(job, "export HOME=/sys")


def in_namespace(job: Job, command: str) -> Outcome:
    """Run the grid after a shell command, with mounts of its own."""
    job.start(wrapper=("unshare", "--mount", "sh", "-c", f'{command} && exec "$@"', "sh"))
    how = job.ending(job.end())
    outcome = job.outcome(how)
    outcome.lost = "nothing"
    return outcome


def much_memory(job: Job) -> Outcome:
    """One of two trials needs 30 GB, on a machine of 6 GB."""
    CGROUP.mkdir(exist_ok=True)
    (CGROUP / "memory.limit_in_bytes").write_text(str(SMALL_MACHINE))
    # Ray reads the limit where a container has it.
    command = (
        f'echo $$ > {CGROUP}/cgroup.procs && mount --bind {CGROUP} {CGROUP.parent} && exec "$@"'
    )
    job.start(
        job=[
            "tune_jobs/finetune.py", "--models", "benchmarks.faulty_nets:none",
            "benchmarks.faulty_nets:needs_30_gb", "--weights", "none", "--lr", "1e-3",
            "--epochs", "2", "--name", "grid",
        ],
        wrapper=("unshare", "--mount", "sh", "-c", command, "sh"),
    )  # fmt: skip
    code = job.end()
    if code:
        return Outcome(job.ending(code))
    ends = [f"{row['config/model'].split(':')[1]}: {row['status']} ({row['error']})"
            for row in load_trials(job.run).to_dict("records")]  # fmt: skip
    return Outcome("; ".join(ends), 1, 1, "the trial")


def clock_set_back(job: Job) -> Outcome:
    """The clock is set back by a day in the fifth epoch."""
    clock, environment = wrong_clock(job.folder)
    job.start(environment=environment)
    job.until(5)
    start = time.monotonic()
    clock.touch()
    job.recover(start)
    outcome = job.outcome(job.ending(job.end()))
    outcome.lost = "nothing"
    return outcome


def wrong_clock(folder: Path) -> tuple[Path, dict[str, str]]:
    """Return a file that sets the clock back when it is made, and variables for a job."""
    library, file = folder / "clock.so", folder / "clock"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, CLOCK, "-ldl"], check=True)
    return file, {"LD_PRELOAD": str(library), "BAKEOFF_CLOCK": str(file)}
