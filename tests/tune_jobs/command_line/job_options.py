"""Classes of the options of all jobs."""

import importlib

from tune_jobs.command_line.invocation import JOBS

OPTIONS = {
    name: getattr(importlib.import_module(f"tune_jobs.{job.module}"), job.options)
    for name, job in JOBS.items()
    if job.options
}
