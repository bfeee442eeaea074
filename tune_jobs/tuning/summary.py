"""What is left when the trials have ended: best/, curves.png, and the words on the terminal."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from rich.markup import escape
from rich.table import Table
from safetensors.torch import save

from trainables.config import TrialConfig
from trainables.data import TrainingData
from trainables.metrics import TARGET
from trainables.saved_model import MODEL_FILE, MODEL_WEIGHTS, describe_model
from tune_jobs.analysis.curves import curves_info, plot_curves
from tune_jobs.analysis.formatting import duration
from tune_jobs.analysis.results import load_epochs
from tune_jobs.command_line.options import RunOptions
from tune_jobs.run_folder.checkpoints import best_weights
from tune_jobs.run_folder.folder import BEST_FOLDER, CURVES_FILE, RUN_FILE, RunFolder
from tune_jobs.run_folder.provenance import now
from tune_jobs.run_folder.schema import SCORE, merit
from tune_jobs.tuning.recorder import Recorder
from tune_jobs.tuning.tuner import Run

MOST_ROWS, FEW_ROWS = 20, 10


def finish(run: Run, record: dict[str, Any]) -> None:
    """Write what is made of a run's tables: best/, curves.png and the end of run.json."""
    folder, recorder = run.folder, run.recorder
    best = best_row(recorder)
    if best is not None:
        write_best(folder, best, recorder.configs[best["trial"]], run.data, record)
        if len(recorder.rows) <= MOST_ROWS:
            write_figure(folder, CURVES_FILE, plot_curves(curves_info(load_epochs(folder.uri))))
    statuses = {row["status"] for row in recorder.rows.values()}
    unfinished = statuses & {"pending", "interrupted"}
    record |= {"status": "interrupted" if unfinished else "finished", "ended": now()}
    folder.write_json(RUN_FILE, record)


def write_figure(folder: RunFolder, name: str, figure: Figure) -> None:
    """Write a figure as PNG."""
    picture = io.BytesIO()
    figure.savefig(picture, dpi=120)
    folder.write(name, picture.getvalue())


def best_row(recorder: Recorder) -> dict[str, Any] | None:
    """The trial with the highest validation accuracy; of equals the one with the lower loss."""
    scored = [row for row in recorder.rows.values() if row.get("checkpoint")]
    return max(scored, key=merit, default=None)


def write_best(
    folder: RunFolder,
    row: dict[str, Any],
    config: TrialConfig,
    data: TrainingData,
    record: dict[str, Any],
) -> None:
    """Write best/: weights, and all that is needed to rebuild the model without the run."""
    best = folder.child(BEST_FOLDER)
    best.make()
    state = best_weights(folder, row["checkpoint"], config, len(data.classes), data.image_size)
    weights = save({name: tensor.contiguous() for name, tensor in state.items()})
    best.write(MODEL_WEIGHTS, weights)
    best.write_json(
        MODEL_FILE,
        {
            **describe_model(config, data, weights),
            "trial": row["trial"],
            "epoch": row["best/epoch"],
            TARGET: row[SCORE],
            "dataset": record["dataset"]["fingerprint"],
        },
    )


def conclude(
    run: Run, record: dict[str, Any], notes: Sequence[str] = (), commands: Sequence[str] = ()
) -> int:
    """Print the table, the best trial and what to type next; returns the exit code.

    Of many trials the table shows the best ones. `notes` are a search's lines on what was found,
    `commands` what it suggests to type.
    """

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    folder, recorder, console = run.folder, run.recorder, run.console
    rows, best = list(recorder.rows.values()), best_row(recorder)
    say("")
    shown = rows
    if len(rows) > MOST_ROWS:
        scored = [row for row in rows if row["epochs"]]
        shown = sorted(scored, key=lambda row: -row[SCORE])[:FEW_ROWS]
    console.print(trial_table(shown, best))
    if len(shown) < len(rows):
        say(f"… the best {len(shown)} of {len(rows)} trials")
    say("")
    if best is not None:
        say(
            f"Best: [bold]{escape(best['trial'])}[/] with {best[SCORE]:.2%} of the "
            f"validation images right after epoch {best['best/epoch']}"
        )
    for note in notes:
        say(escape(note))
    for row in rows[:MOST_ROWS]:
        if row["status"] in ("failed", "diverged"):
            reason = escape(row["error"].strip().splitlines()[-1])
            say(f"[red]{escape(row['trial'])} {row['status']}[/]: {reason}")
        batch_size = recorder.configs[row["trial"]].batch_size
        if row.get("micro_batch", batch_size) < batch_size:
            say(
                f"{escape(row['trial'])} took {row['micro_batch']:.0f} images at a time: its "
                f"batches of {batch_size} did not fit into memory"
            )
    say(f"Written to {escape(folder.uri)}")
    if record["status"] == "interrupted":
        say(f"\nInterrupted. To go on where it stopped:\n  {resume_command(run)}")
        return 130
    if not notes and any(row["status"] == "failed" for row in rows):
        say(f"\nTo try again what failed:\n  {resume_command(run)}")
    read = f"from tune_jobs.analysis.results import *; print(load_trials({folder.uri!r}))"
    say(f'\nNext:\n  python -c "{escape(read)}"')
    for command in (shlex.join(["tensorboard", "--logdir", folder.uri]), *commands):
        say(f"  {escape(command)}")
    return 0 if best is not None else 1


def trial_table(rows: list[dict[str, Any]], best: dict[str, Any] | None) -> Table:
    """A row a trial, the best one emphasised."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("trial", no_wrap=True)
    for heading in ("epochs", "train loss", "val loss", "accuracy", "at epoch", "time", "images/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("status")
    for row in rows:
        cells = [""] * 6
        if row["epochs"]:
            cells = [
                f"{row['last/train_loss']:.4f}",
                f"{row['last/val_loss']:.4f}",
                f"{row[SCORE]:.2%}",
                str(row["best/epoch"]),
                duration(row["seconds"]),
                f"{row['images_per_second']:,.0f}",
            ]
        style = "bold green" if row is best else None
        table.add_row(escape(row["trial"]), str(row["epochs"]), *cells, row["status"], style=style)
    return table


def resume_command(run: Run, *how: str) -> str:
    """What a person types to go on with a run; its other options are remembered."""
    words = ["python", run.command.script, "--name", run.folder.name, *(how or ("--resume",))]
    for option in ("storage_path", "address"):
        value = getattr(run.options.run, option)
        if value != getattr(RunOptions(), option):
            words += [f"--{option.replace('_', '-')}", value]
    return shlex.join(words)
