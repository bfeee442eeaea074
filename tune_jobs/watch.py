"""Write a run as a page, again and again while it is training."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import tyro

from trainables.config import check_range
from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.invocation import JOBS, PROGRAM
from tune_jobs.command_line.parser import parse_plain

MARK, MARK_WITHIN = "<!-- bakeoff watch -->", 2000
"""Comment that pages of this job contain, and number of bytes within which it stands."""
LOOPBACK = "127.0.0.1"
"""Address that --serve listens at, which other machines cannot reach."""


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """Options of the job."""

    run: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="RUN")]] = ""
    """Folder or URI (s3://…, gs://…) of the run."""
    output: str = "watch.html"
    """File for the page. Nothing but an earlier page of this job is
    overwritten."""
    every: int = 5
    """Seconds between two versions of the page while the run is training."""
    serve: bool = False
    """Serve the page at an address of this machine alone, in place of writing a file."""
    port: int = 8642
    """Port of --serve; 0 for any that is free."""


def watch() -> int:
    """Run the job, and return its exit code."""
    options = parse_plain(WatchOptions, "watch", description=__doc__).options
    if not options.run:
        raise InputError(f"no run is given: name a run folder, e.g. {PROGRAM} watch runs/lr-grid")
    check_range("--every", options.every, 1, 86_400)
    check_range("--port", options.port, 0, 65_536)
    page = functools.partial(page_of, options.run, options.every)
    page()  # raises InputError if there is no run
    if options.serve:
        with server(page, options.port) as running:
            port = running.server_address[1]
            print(f"Serving http://{LOOPBACK}:{port}/ until Ctrl-C", flush=True)  # noqa: T201
            running.serve_forever()
    file = Path(options.output)
    if file.exists() and not (file.is_file() and MARK.encode() in file.read_bytes()[:MARK_WITHIN]):
        raise InputError(
            f"--output {file} exists and is no page of this job: give another name, or move it away"
        )
    write(file, page)
    print(f"Written to {options.output}", flush=True)  # noqa: T201
    while is_running(options.run):
        time.sleep(options.every)
        write(file, page)
    if command := how_to_resume(options.run):
        print(f"Interrupted. To resume:\n  {command}")  # noqa: T201
    return 0


def page_of(run: str, every: int) -> str:
    """Return the page of a run; raises InputError if it cannot be read."""
    # matplotlib takes time to import, and bad options are reported without it.
    from tune_jobs.analysis.run_page import run_page

    text = run_page(run, planned_seconds(run), every)
    return text.replace("<head>", f"<head>\n{MARK}", 1)


def is_running(run: str) -> bool:
    """Return whether a run is training."""
    from tune_jobs.analysis.results import load_run

    return bool(load_run(run)["status"] == "running")


def how_to_resume(run: str) -> str | None:
    """Return the command that resumes a run; None if it was not interrupted."""
    from tune_jobs.analysis.results import load_run
    from tune_jobs.run_folder.folder import RunFolder
    from tune_jobs.tuning.next_commands import resume_found

    record = load_run(run)
    return resume_found(RunFolder.at(run), record) if record["status"] == "interrupted" else None


def planned_seconds(run: str) -> float | None:
    """Return the wall time in seconds that --plan estimated for a run; None without a plan."""
    from tune_jobs.analysis.results import load_run
    from tune_jobs.command_line.stored import options_of_record
    from tune_jobs.run_folder.folder import RunFolder
    from tune_jobs.tuning.plan import stored_plan

    folder, record = RunFolder.at(run), load_run(run)
    names = {job.module.replace("_", "-"): job for job in JOBS.values() if job.trains}
    job = names.get(record["job"])
    if job is None:
        return None
    module = importlib.import_module(f"tune_jobs.{job.module}")
    options = options_of_record(getattr(module, job.options), record, folder)
    plan = stored_plan(options, folder.parent)
    return None if plan is None else plan.seconds(plan.at_once, plan.share)


def write(file: Path, page: Callable[[], str]) -> None:
    """Write the page, whole at any moment.

    Raises:
        InputError: it cannot be written.
    """
    partial = file.with_name(file.name + ".partial")
    try:
        partial.write_text(page(), encoding="utf-8")
        partial.replace(file)
    except OSError as error:
        raise InputError(
            f"--output {file} cannot be written ({error.strerror}): give another file"
        ) from error


def server(page: Callable[[], str], port: int) -> ThreadingHTTPServer:
    """Return a server that makes the page for each request.

    Args:
        page: returns the page.
        port: port; 0 for any that is free.

    Raises:
        InputError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page of another site that calls itself by our address must not read ours.
            host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
            if host not in (LOOPBACK, "localhost") or self.path.partition("?")[0] != "/":
                self.send_error(404)
                return
            try:
                content, code = page(), 200
            except InputError as error:
                content, code = f"<!doctype html><title>bakeoff</title>{escape(str(error))}", 503
            body = content.encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise InputError(
            f"--port {port} cannot be used ({error.strerror}): give another, or 0 for any"
        ) from error


if __name__ == "__main__":
    main(watch)
