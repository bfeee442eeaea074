import signal
import threading

import pytest

from tune_jobs.command_line.entry_point import interrupt
from tune_jobs.ray_runtime.early_start import held_signals


@pytest.fixture
def handlers():
    """Handle signals as a job does, and return the handlers."""
    before = signal.signal(signal.SIGTERM, interrupt)
    yield [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_effect_after_the_imports(number, handlers):
    imported = []

    def start():
        with held_signals() as came:
            signal.raise_signal(number)
            signal.raise_signal(number)  # of a user who cannot wait
            imported.extend(came)

    with pytest.raises(KeyboardInterrupt):
        start()
    assert imported == [number, number]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_another_thread_changes_no_handler(handlers):
    found = []

    def start():
        with held_signals() as came:
            found.extend([came, signal.getsignal(signal.SIGINT)])

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert found == [[], handlers[0]]
