"""The errors that a person or a trial can meet."""


class InputError(ValueError):
    """What a person gave cannot be used; the message states the value, the rule and the remedy."""


class DivergedError(ArithmeticError):
    """The loss stopped being a finite number."""

    def __init__(self, epoch: int, step: int, loss: float):
        super().__init__(f"the loss became {loss} in epoch {epoch}, step {step}")
