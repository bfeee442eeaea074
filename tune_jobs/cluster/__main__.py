"""Check a cluster configuration, render it for another provider, or diagnose a running cluster."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.invocation import words_that_start
from tune_jobs.command_line.mistakes import read_options
from tune_jobs.command_line.options import DataOptions
from tune_jobs.ray_runtime.ray_up import dollars_by_type


@dataclass(frozen=True, kw_only=True)
class Check:
    """Check a cluster configuration for errors, avoidable costs and open access before `ray up`."""

    config: tyro.conf.Positional[str] = "cluster.yaml"
    """Cluster configuration file, as passed to `ray up`."""
    offline: bool = False
    """Skip the checks that query AWS: instance types, images, quotas, spot prices."""
    storage_path: str | None = None
    """Storage URI (s3://… or gs://…) to check for write access."""

    def __call__(self) -> int:
        """Print the hourly cost and the findings. Return 2 if there are findings, else 0."""
        from tune_jobs.cluster.checks.static import static_findings
        from tune_jobs.cluster.config import read_config
        from tune_jobs.cluster.prices import describe_cost, with_spot_prices

        config = read_config(self.config)
        findings = static_findings(config)
        ask_aws = config["provider"]["type"] == "aws" and not self.offline
        if ask_aws:
            findings += ask_account(config)
        if self.storage_path is not None:
            from tune_jobs.cluster.checks.aws import storage_findings

            findings += storage_findings(self.storage_path)
        if prices := dollars_by_type(config):
            say(f"{describe_cost(config, prices)} (prices in metadata.dollars_per_hour)")
            if ask_aws:
                try:
                    now = with_spot_prices(config, prices)
                    say(f"{describe_cost(config, now)} (current spot prices)")
                except InputError as error:
                    say(f"current spot prices are unknown: {error}")
        for finding in findings:
            print(f"error: {finding}", file=sys.stderr)  # noqa: T201
        if findings:
            return 2
        how = "" if ask_aws else " (configuration checked offline)"
        say(f"{self.config}: no problems found{how}")
        return 0


@dataclass(frozen=True, kw_only=True)
class Render:
    """Print cluster.yaml as a configuration for one provider."""

    provider: Literal["aws", "gcp", "local", "kuberay"]
    """aws (cluster.yaml itself), gcp, local (your own machines over SSH) or kuberay (a RayJob)."""
    pin: bool = False
    """aws only: replace the image name with the AMI that it resolves to today in the region."""
    project: str | None = None
    """gcp only, required: id of the project to bill."""
    head: str | None = None
    """local only, required: address of the head node, which runs no trials."""
    workers: tuple[str, ...] = ()
    """local only, required: addresses of the worker nodes."""
    user: str = "ubuntu"
    """local only: SSH user."""
    key: str | None = None
    """local only: SSH private key file; SSH's default if omitted."""
    image: str | None = None
    """kuberay only, required: container image with Python, Ray and this package.
    Their versions must be those of constraints.txt."""
    entrypoint: str | None = None
    """kuberay only, required: command of the job, such as
    "bakeoff lr-grid --address auto --storage-path s3://my-bucket/bakeoff"."""

    def __call__(self) -> int:
        """Print the rendered file. Return 0."""
        from tune_jobs.cluster import render
        from tune_jobs.cluster.config import CLUSTER_FILE, read_config

        if self.provider == "aws":
            text = CLUSTER_FILE.read_text()
            if self.pin:
                from tune_jobs.cluster.checks.aws import with_images_of_today

                text = with_images_of_today(text, read_config(CLUSTER_FILE))
            print(text, end="")  # noqa: T201
            return 0
        config = read_config(CLUSTER_FILE)
        if self.provider == "gcp":
            made = render.gcp(config, render.required(self.project, "--project", "gcp"))
        elif self.provider == "local":
            head = render.required(self.head, "--head", "local")
            if not self.workers:
                raise InputError(
                    "--workers is not set, and render --provider local requires it, as the head "
                    "runs no trials: give the addresses of the worker nodes"
                )
            made = render.local(config, head, list(self.workers), self.user, self.key)
        else:
            image = render.required(self.image, "--image", "kuberay")
            entrypoint = render.required(self.entrypoint, "--entrypoint", "kuberay")
            made = render.kuberay(config, image, entrypoint)
        print(render.as_yaml(made, f"--provider {self.provider}"), end="")  # noqa: T201
        return 0


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Compare the nodes of a running cluster, and print each problem with its remedy."""

    address: str = "auto"
    """Address of the Ray cluster: auto (on its head node), HOST or HOST:PORT."""
    storage_path: str | None = None
    """Storage folder or URI (s3://…, gs://…); every node writes a file to it and reads it back."""
    data: str | None = None
    """Dataset to load on this machine, as a job started here would."""
    image_column: str | None = None
    """Image column of parquet files; detected if it is named img or image."""
    label_column: str | None = None
    """Label column of parquet files; detected if it is named label, labels or fine_label."""
    expect: tuple[str, ...] | None = None
    """Output of `versions` on your own machine, to compare that machine too."""

    def __call__(self) -> int:
        """Print a table and the findings. Return 2 if there are findings, else 0."""
        from tune_jobs.cluster.doctor import as_versions, doctor

        data = None
        if self.data is not None:
            data = DataOptions(
                data=self.data, image_column=self.image_column, label_column=self.label_column
            )
        laptop = None if self.expect is None else as_versions(self.expect)
        return doctor(self.address, self.storage_path, data, laptop)


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Print this machine's versions, for `doctor --expect` on a cluster."""

    def __call__(self) -> int:
        """Print one line of NAME=VALUE words. Return 0."""
        from tune_jobs.cluster.doctor import versions

        say(" ".join(f"{name}={value}" for name, value in versions().items()))
        return 0


def ask_account(config: dict[str, Any]) -> list[str]:
    """Return the findings of the checks that query AWS, and print the account and image ids."""
    from tune_jobs.cluster.checks import aws
    from tune_jobs.cluster.checks.quotas import quota_findings

    region = config["provider"]["region"]
    try:
        say(f"AWS account {aws.account(region)}, region {region}")
    except InputError as error:
        return [str(error)]
    findings = [*aws.aws_findings(config), *quota_findings(config, say)]
    with contextlib.suppress(InputError):  # already among the findings
        for name, ami in aws.images_of_today(config).items():
            say(f"{name} resolves to {ami} today: `render --provider aws --pin` pins it")
    return findings


def say(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201


def cluster() -> int:
    """Run the command line. Return the exit code."""
    action = read_options(
        Annotated[Check, tyro.conf.subcommand(name="check")]
        | Annotated[Render, tyro.conf.subcommand(name="render")]
        | Annotated[Doctor, tyro.conf.subcommand(name="doctor")]
        | Annotated[Versions, tyro.conf.subcommand(name="versions")],
        sys.argv[1:],
        words_that_start("cluster"),
        description=__doc__,
    )
    code: int = action()
    return code


if __name__ == "__main__":
    main(cluster)
