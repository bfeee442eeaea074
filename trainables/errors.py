"""Exceptions that users of bakeoff or a trial can encounter."""


class InputError(ValueError):
    """Invalid user input. The message states the value, the rule and the remedy."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class DivergedError(ArithmeticError):
    """Non-finite loss: training diverged."""

    def __init__(self, epoch: int, step: int, loss: float):
        super().__init__(f"the loss became {loss} in epoch {epoch}, step {step}")
