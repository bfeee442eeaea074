"""The checkpoints in a trial's folder, as a killed driver or worker may have left them."""

from __future__ import annotations

import logging
from pathlib import Path

from ray import tune

from trainables.checkpoint import TrainingState, load_checkpoint
from trainables.config import TrialConfig
from tune_jobs.storage import RunFolder

logger = logging.getLogger(__name__)


def newest_checkpoint(
    trial: RunFolder, config: TrialConfig | None = None
) -> tuple[RunFolder, TrainingState] | None:
    """The checkpoint of a trial that is furthest.

    One cut short by a kill is passed over, and so is one made under another config than that given.

    Args:
        trial: its folder, which need not exist.
        config: of the trial; None where a scheduler may have changed it.

    Returns:
        The checkpoint's folder and what it holds; None where there is none.
    """
    newest: tuple[RunFolder, TrainingState] | None = None
    for folder in (trial.child(n) for n in trial.names() if n.startswith("checkpoint_")):
        try:
            with tune.Checkpoint(folder.path, folder.fs).as_directory() as local:
                state = load_checkpoint(Path(local))
        except Exception as error:  # damaged bytes raise anything
            logger.warning("passing over the unreadable checkpoint %s: %s", folder.uri, error)
            continue
        same = config is None or TrialConfig.from_dict(state["config"]) == config
        if same and (newest is None or len(state["history"]) > len(newest[1]["history"])):
            newest = folder, state
    return newest
