"""Soups: averages of the weights of the best trials of a network, after a run (Wortsman 2022)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any, cast

import ray
import safetensors.torch
import torch

from trainables.checkpoint import BEST_FILE
from trainables.config import TrialConfig, file_stem
from trainables.errors import first_line
from trainables.image_rows import ImageRows
from trainables.precision import ResolvedPrecision
from trainables.soup import Soup, State, greedy_soup
from trainables.status import TrialStatus
from trainables.target import TARGETS
from trainables.trial_images import TrialImages
from trainables.trust import EVERY, trust
from tune_jobs.ray_runtime.capacity import TrialResources
from tune_jobs.run_folder.checkpoints import check_weights
from tune_jobs.run_folder.folder import RunFolder
from tune_jobs.run_folder.records import RunRecord, TrialRow
from tune_jobs.run_folder.schema import SPLIT_METRICS, is_soup, join_members, merit
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.strategy import Run

MOST_MEMBERS = 10
"""Number of the best trials of a network that are tried as members: each costs a pass over the
validation images."""
PATIENCE_S = 600
"""Seconds to wait for a soup, beyond what the trials took that it is made of."""
CHECKPOINT = "checkpoint_000000"
"""Name of the folder with the weights of a soup, in a folder of its own as those of trials."""


@dataclass(frozen=True)
class Made:
    """A soup that has been written into the run folder, or was not better than its best trial."""

    soup: Soup
    """The average with its scores; its weights are left out."""
    better: bool
    """Whether it scores higher than the best of the trials, so that its weights were written."""
    sha256: str
    """SHA-256 of its weights file, in hexadecimal; empty if it is not better."""
    seconds: float
    """Time that it took, in seconds."""


def make_soups(run: Run, record: RunRecord, resources: TrialResources) -> None:
    """Average the weights of the trials of each network, and enter what is better into the tables.

    A network needs two finished trials that started from the same pretrained weights and have the
    same inputs. run.json has the trials that were tried, so that a resumed run repeats nothing. An
    error is one line on the terminal, and the run goes on.

    Args:
        run: the run, whose trials have ended.
        record: content of run.json, to which `soups` is added.
        resources: resources that a soup reserves, those of a trial.
    """
    recorder = run.recorder
    if any(TrialStatus(row["status"]).is_open for row in recorder.rows.values()):
        return
    known = record.setdefault("soups", {})
    for name, trials in groups(recorder).items():
        if known.get(name, {}).get("tried") == trials:
            continue
        try:
            made = _make(run, name, trials, resources)
        except Exception as error:  # whatever it is, the trials are trained and scored
            reason = f"{type(error).__name__}: {first_line(error)}"
            run.console.print(f"{name} was not made: {reason}", style="yellow", markup=False)
            continue
        members = [trials[position] for position in made.soup.members]
        recorder.rows.pop(name, None)  # one of fewer trials, before the run was extended
        known[name] = {"tried": trials, "members": members, "better": made.better}
        if made.better:
            recorder.add_soup(row_of(name, members, made, recorder), recorder.configs[trials[0]])
        run.console.print(sentence(run, name, trials, made), markup=False, highlight=False)


def groups(recorder: Recorder) -> dict[str, list[str]]:
    """Return the trials whose weights may be averaged, best first, by the name of their soup."""
    found: dict[str, list[TrialRow]] = {}
    for name, row in recorder.rows.items():
        config = recorder.configs[name]
        if (
            row["status"] == TrialStatus.FINISHED
            and row.get("checkpoint")
            and recorder.feasible(row) is not False
            and not is_soup(row)
            and config.mode in ("full", "gradual")  # a probe changes the head alone
            and config.weights != "none"  # those of random weights have nothing in common
        ):
            found.setdefault(_key(config), []).append(row)
    result: dict[str, list[str]] = {}
    for rows in found.values():
        if len(rows) < 2:
            continue
        config = recorder.configs[rows[0]["trial"]]
        name = stem = f"soup-{file_stem(config.model)}"
        while name in result:  # of the same network with other inputs
            name = f"{stem}-{2 + sum(each.startswith(f'{stem}-') for each in result)}"
        rows.sort(key=lambda row: merit(row, recorder.target(row["trial"])), reverse=True)
        result[name] = [row["trial"] for row in rows[:MOST_MEMBERS]]
    return result


def _key(config: TrialConfig) -> str:
    """Return what trials must have in common: the network, its inputs and its initial weights."""
    names = ("model", "model_args", "weights", "freeze_batch_norm", "normalize", "image_size",
             "resize", "resize_to", "interpolation", "input_size")  # fmt: skip
    return json.dumps({name: getattr(config, name) for name in names})


def _make(run: Run, name: str, trials: list[str], resources: TrialResources) -> Made:
    """Make a soup where trials train: the driver may have neither images nor a GPU."""
    rows = [run.recorder.rows[trial] for trial in trials]
    task = ray.remote(make_soup).options(
        num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0
    )
    answer = task.remote(
        run.folder.uri,
        name,
        [(str(row["checkpoint"]), row.get("weights_sha256")) for row in rows],
        run.recorder.configs[trials[0]],
        run.data,
        cast("ResolvedPrecision", rows[0]["precision"]),
        merit(rows[0], run.target),
        resources.cpus,
    )
    patience = PATIENCE_S + sum(row["seconds"] for row in rows)
    try:
        return ray.get(answer, timeout=patience)
    except BaseException:  # also Ctrl-C
        ray.cancel(answer, force=True)
        raise


def make_soup(
    uri: str,
    name: str,
    checkpoints: list[tuple[str, str | None]],
    config: TrialConfig,
    images: TrialImages,
    precision: ResolvedPrecision,
    best: tuple[float, float],
    cpus: int,
) -> Made:
    """Average the weights of trials greedily, and write the average if it is better.

    Args:
        uri: path or URI of the run folder.
        name: name of the soup.
        checkpoints: path below the run folder and SHA-256 of the weights of each trial, best first.
        config: configuration of the best trial.
        images: training and validation images.
        precision: numeric precision of the trials.
        best: merit of the best trial, which the average must exceed.
        cpus: number of CPU cores.

    Raises:
        InputError: weights are missing or were altered.
        ValueError: the weights are of different networks.
    """
    start = time.perf_counter()
    torch.set_num_threads(max(1, cpus))
    trust([EVERY])  # the driver has built the network
    folder = RunFolder.at(uri, patient=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = images.training_data(config)
    in_view = ImageRows(images.images.store(images.view(config)), images.train_rows)

    def load(position: int) -> State:
        checkpoint, sha256 = checkpoints[position]
        check_weights(folder, checkpoint, sha256)
        return safetensors.torch.load(folder.read(f"{checkpoint}/{BEST_FILE}"))

    soup = greedy_soup(config, data, in_view, load, len(checkpoints), device, precision)
    scores = {f"best/{column}": value for column, value in soup.scores.items()}
    better = len(soup.members) > 1 and merit(scores, TARGETS[config.metric]) > best
    sha256 = ""
    if better:
        weights = safetensors.torch.save({k: v.contiguous() for k, v in soup.state.items()})
        sha256 = hashlib.sha256(weights).hexdigest()
        written = folder.child(name).child(CHECKPOINT)
        written.make()
        written.write(BEST_FILE, weights)
    without = dataclasses.replace(soup, state={})
    return Made(without, better, sha256, time.perf_counter() - start)


def row_of(name: str, members: list[str], made: Made, recorder: Recorder) -> TrialRow:
    """Return the row of a soup; its settings and costs are those of its best member.

    Its peak memory is the highest of its members, as all of them were trained.
    """
    like: dict[str, Any] = dict(recorder.rows[members[0]])
    same = ("parameters", "macs", "latency_ms", "device", "precision")
    scores = {column: made.soup.scores[column] for column in SPLIT_METRICS if "val_" in column}
    row: dict[str, Any] = {
        "trial": name,
        "status": TrialStatus.FINISHED,
        "epochs": 0,
        "seconds": made.seconds,
        "peak_memory_mb": max(recorder.rows[member]["peak_memory_mb"] for member in members),
        "members": join_members(members),
        "checkpoint": f"{name}/{CHECKPOINT}",
        "weights_sha256": made.sha256,
        **{column: like[column] for column in same if like.get(column) is not None},
        **{
            f"{which}/{name}": score for which in ("best", "last") for name, score in scores.items()
        },
    }
    return cast("TrialRow", row)


def sentence(run: Run, name: str, trials: list[str], made: Made) -> str:
    """Return what has become of a soup, in one line."""
    target, best = run.target, run.recorder.rows[trials[0]]
    score = target.show(made.soup.scores[target.column])
    before = target.show(best[target.best])  # type: ignore[literal-required]
    if made.better:
        return (
            f"{name}: the average of the weights of {len(made.soup.members)} of {len(trials)} "
            f"trials has validation {target.label} {score}, the best of them {before}"
        )
    return (
        f"{name} is left out: no average of the weights of {len(trials)} trials has a better "
        f"validation {target.label} than the best of them, {before}"
    )
