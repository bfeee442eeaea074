"""Injure real jobs, and say what they survive.

    python -m benchmarks.faults [FAULT ...]

Each fault is done to a grid of two learning rates on digits, or to the machine below it. A line of
a Markdown table says what was injured and how often, how many injuries the results survived (they
are those of an unharmed grid in the end: weights and metrics, to the bit), what was lost, the
longest time until there was another epoch, and how the job ended. Faults of disks, memory, other
users and of the home need root, that of the clock a C compiler.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.faults import drivers, files, machine, other_jobs, processes
from benchmarks.faults.job import REFERENCE, Job, tables

FAULTS = {
    each.__name__: each
    for each in (
        processes.kill_workers, processes.kill_in_writes, processes.kill_raylet,
        processes.kill_gcs, processes.terminate_group,
        drivers.kill_grid, drivers.kill_search, drivers.kill_finetune, drivers.kill_shortlist,
        other_jobs.kill_comparison, other_jobs.kill_check, other_jobs.kill_cache,
        machine.full_disk, machine.read_only_storage, machine.full_cache,
        machine.full_temporary, machine.small_temporary, machine.small_shm,
        machine.read_only_home, machine.much_memory, machine.clock_set_back,
        files.deleted, files.moved, files.truncated_state, files.altered_state,
        files.later_state, files.later_weights, files.others_state, files.others_run,
        files.truncated_tables, files.truncated_record, files.later_record,
        processes.harmful_networks,
    )
}  # fmt: skip
"""Functions that injure a job and return what became of it, by name."""


def main() -> None:
    """Do the faults that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faults", nargs="*", choices=[[], *FAULTS])
    chosen = parser.parse_args().faults or list(FAULTS)
    with tempfile.TemporaryDirectory() as folder:
        unharmed = Job(Path(folder, "unharmed"))
        unharmed.start()
        assert unharmed.end() == 0, unharmed.log.read_text()
        REFERENCE.extend(tables(unharmed.run))
        print("| fault | injected | survived | lost | seconds to recover | how it ended |\n"
              "| --- | --- | --- | --- | --- | --- |", flush=True)  # fmt: skip
        for name in chosen:
            job = Job(Path(folder, name))
            try:
                what = (FAULTS[name].__doc__ or "").splitlines()[0].rstrip(".")
                print(f"| {' | '.join([what, *FAULTS[name](job).cells()])} |", flush=True)
            except Exception as error:
                print(f"| {name} | BENCHMARK FAILED {type(error).__name__}: {error}", flush=True)
            finally:
                job.kill()


if __name__ == "__main__":
    main()
