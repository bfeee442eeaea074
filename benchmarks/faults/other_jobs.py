"""SIGKILL of jobs that are no grid: comparisons, checks of data, and a cache being filled."""

from __future__ import annotations

import random
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.faults.drivers import KILLS, LONGEST_S
from benchmarks.faults.job import Job, Outcome
from benchmarks.faults.machine import photographs
from tune_jobs.analysis.comparison_results import COMPARISON_FILE

STATES = "*/*/checkpoint_*/*"
"""Files of training states below the folder of further trainings."""
TIMES = ("seconds", "latency", "images_per_second", "throughput", "memory", "when", "others")


def kill_comparison(job: Job) -> Outcome:
    """SIGKILL of the driver of compare --seeds 2, at random moments."""
    job.start("--epochs", "10", "--cpus-per-trial", "1")
    job.end()
    generator, killed, same, slowest = random.Random(2), 0, 0, 0.0
    wanted: list[str] = []
    while killed < KILLS:
        name, kills = f"injured-{killed}" if wanted else "unharmed", 0
        runs = job.folder / name
        runs.mkdir()
        shutil.copytree(job.run, runs / "grid")
        seeds = runs / "comparison" / "seeds"
        words = ["tune_jobs/compare.py", str(runs / "grid"), "--seeds", "2",
                 "--output", str(runs / "comparison")]  # fmt: skip
        # A ledger of its own: intervals widen with each opening of a test set.
        environment = {"XDG_CACHE_HOME": str(runs / "cache")}
        start = time.monotonic()
        job.launch([sys.executable, *words], environment)
        while wanted and killed + kills < KILLS:
            states = len(list(seeds.glob(STATES)))
            if generator.random() < 0.5:
                time.sleep(generator.uniform(0, LONGEST_S))
            else:
                job.wait(partial(more_files, seeds, states))
                if kills and more_files(seeds, states):
                    slowest = max(slowest, time.monotonic() - start)
                time.sleep(generator.uniform(0, 2))
            if not job.is_running():
                break
            kills += 1
            job.kill()
            job.end()
            start = time.monotonic()
            job.launch([sys.executable, *words], environment)
        if code := job.end():
            return Outcome(job.ending(code), killed + kills, same)
        found = scores(runs / "comparison", name)
        if wanted:
            same += kills * (found == wanted)
            killed += kills
        else:
            wanted = found
    how = "the same command, given again, goes on: the same accuracies and predictions"
    return Outcome(how, killed, same, "the current epoch", slowest)


def more_files(folder: Path, count: int) -> bool:
    """Return whether there are more files of training states than some."""
    return len(list(folder.glob(STATES))) > count


def half_written(cache: Path) -> bool:
    """Return whether a file of a cache is being written."""
    return any(cache.rglob("*.partial"))


def scores(folder: Path, name: str) -> list[str]:
    """Return the tables of a comparison without times and without the name of its runs."""
    texts = []
    for file in sorted(folder.glob("*.parquet")):
        frame = pd.read_parquet(file)
        kept = [name for name in frame if not any(word in str(name) for word in TIMES)]
        texts.append(f"{file.name}\n{frame[kept].to_csv().replace(name, '')}")
    assert texts or (folder / COMPARISON_FILE).exists()
    return texts


def kill_check(job: Job) -> Outcome:
    """SIGKILL of check_data, at random moments."""
    return kill_reader(job, "check_data", [], [])


def kill_cache(job: Job) -> Outcome:
    """SIGKILL of a grid that fills the cache of images, at random moments."""
    return kill_reader(job, "lr_grid", ["--lr", "1e-3", "--epochs", "1", "--name", "grid",
                                        "--storage-path"], ["runs"])  # fmt: skip


def kill_reader(job: Job, name: str, words: list[str], folder: list[str]) -> Outcome:
    """Kill a job while it decodes images, and start it again; compare with an unharmed one."""
    photographs(job.folder / "images", 3000)
    generator, contents = random.Random(3), []
    killed = torn = 0
    seconds = 0.0
    for who in ("unharmed", "injured"):
        cache, out = job.folder / f"cache-{who}", job.folder / f"out-{who}"
        out.mkdir()
        command = [sys.executable, f"tune_jobs/{name}.py", "--data", str(job.folder / "images"),
                   *words, *(str(out / each) for each in folder)]  # fmt: skip
        if name == "check_data":
            command = [*command[:2], str(job.folder / "images"), "--output", str(out / "page.html")]
        environment = {"XDG_CACHE_HOME": str(cache)}
        while who == "injured" and killed < KILLS:
            job.launch(command, environment)
            if name == "check_data":  # which writes nothing before it has seen every image
                time.sleep(generator.uniform(0.1, 1) * seconds)
            else:
                job.wait(partial(half_written, cache), every=0.002)
                time.sleep(generator.uniform(0, 0.5))
            torn += half_written(cache)
            if job.is_running():
                killed += 1
                job.kill()
            else:  # the next one would have nothing to decode
                shutil.rmtree(cache)
            job.end()
            shutil.rmtree(out / "runs", ignore_errors=True)
        start = time.monotonic()
        job.launch(command, environment)
        if (code := job.end()) not in (0, 1):
            return Outcome(job.ending(code), killed)
        seconds = time.monotonic() - start
        files = sorted(file for file in cache.rglob("*.np?"))
        contents.append([(file.name, file.read_bytes()) for file in files])
        left = [file.name for file in cache.rglob("*.partial")]
        if left:
            return Outcome(f"leaves {left}", killed)
    same = "identical" if contents[0] == contents[1] and contents[0] else "DIFFERENT"
    how = (f"{torn} kills left a file half written, which the next job deletes; the same "
           f"command, given again, ends in {seconds:.0f} s: the cache is {same}")  # fmt: skip
    return Outcome(how, killed, killed * (same == "identical"), "the images decoded so far", None)
