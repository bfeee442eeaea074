"""Check a cluster's configuration, make one for another place, or look at a cluster that runs."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import tyro

from trainables.errors import InputError
from tune_jobs.command_line.entry_point import main
from tune_jobs.command_line.options import DataOptions
from tune_jobs.ray_runtime.ray_up import dollars_by_type


@dataclass(frozen=True, kw_only=True)
class Check:
    """Find what is wrong with a configuration, before money is spent."""

    config: tyro.conf.Positional[str] = "cluster.yaml"
    """File that `ray up` is given."""
    offline: bool = False
    """Ask AWS nothing."""
    storage_path: str | None = None
    """Look whether this storage can be written, too."""

    def __call__(self) -> int:
        """Print the findings and the price; 2 where something is wrong."""
        from tune_jobs.cluster.checks.static import static_findings
        from tune_jobs.cluster.config import read_config
        from tune_jobs.cluster.prices import in_words, with_spot_prices

        config = read_config(self.config)
        findings = static_findings(config)
        ask_aws = config["provider"]["type"] == "aws" and not self.offline
        if ask_aws:
            findings += ask_account(config)
        if self.storage_path is not None:
            from tune_jobs.cluster.checks.aws import storage_findings

            findings += storage_findings(self.storage_path)
        if prices := dollars_by_type(config):
            say(f"{in_words(config, prices)}, by the prices in metadata")
            if ask_aws:
                try:
                    now = with_spot_prices(config, prices)
                    say(f"{in_words(config, now)}, with the spot prices of now")
                except InputError as error:
                    say(f"the spot prices of now are not known: {error}")
        for finding in findings:
            print(f"error: {finding}", file=sys.stderr)  # noqa: T201
        if findings:
            return 2
        say(f"{self.config}: nothing is wrong" + (", as far as it says itself" * (not ask_aws)))
        return 0


@dataclass(frozen=True, kw_only=True)
class Render:
    """Write cluster.yaml for another place to the terminal."""

    provider: Literal["aws", "gcp", "local", "kuberay"]
    """aws is cluster.yaml itself."""
    pin: bool = False
    """Of aws: with the AMI that AWS means by the image's name today, in the region of the file."""
    project: str | None = None
    """Of gcp: id of the project that pays."""
    head: str | None = None
    """Of local: address of the machine that runs no trials."""
    workers: tuple[str, ...] = ()
    """Of local: addresses of the others."""
    user: str = "ubuntu"
    """Of local: to log in as."""
    key: str | None = None
    """Of local: file of the private key."""
    image: str | None = None
    """Of kuberay: with Python, Ray and this package as constraints.txt has them."""
    entrypoint: str | None = None
    """Of kuberay: command of the job, such as "python tune_jobs/lr_grid.py --address auto
    --storage-path s3://my-bucket/bakeoff"."""

    def __call__(self) -> int:
        """Print the file."""
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
                    "render --provider local needs --workers, as the head runs no trials"
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
    """Compare the machines of a cluster that runs, and say what to do about what differs."""

    address: str = "auto"
    """Of the cluster: auto on its head, HOST or HOST:PORT."""
    storage_path: str | None = None
    """Written and read back on every machine."""
    data: str | None = None
    """Read on this machine, as the jobs that are started here read it."""
    image_column: str | None = None
    """Of parquet files; found by itself when it is called img or image."""
    label_column: str | None = None
    """Of parquet files; found by itself when it is called label, labels or fine_label."""
    expect: tuple[str, ...] | None = None
    """What `versions` prints on your machine, which is compared too."""

    def __call__(self) -> int:
        """Print a table; 2 where something is wrong."""
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
    """Print what a cluster must agree with this machine on, for `doctor --expect`."""

    def __call__(self) -> int:
        """Print a line."""
        from tune_jobs.cluster.doctor import versions

        say(" ".join(f"{name}={value}" for name, value in versions().items()))
        return 0


def ask_account(config: dict[str, Any]) -> list[str]:
    """What AWS says is wrong; what else it says is printed."""
    from tune_jobs.cluster.checks import aws
    from tune_jobs.cluster.checks.quotas import quota_findings

    region = config["provider"]["region"]
    try:
        say(f"account {aws.account(region)}, region {region}")
    except InputError as error:
        return [str(error)]
    findings = [*aws.aws_findings(config), *quota_findings(config, say)]
    with contextlib.suppress(InputError):  # is among the findings
        for name, ami in aws.images_of_today(config).items():
            say(f"{name} is {ami} today: `render --provider aws --pin` writes that instead")
    return findings


def say(text: str) -> None:
    """Print a line."""
    print(text)  # noqa: T201


def cluster() -> int:
    """The command line. Returns the exit code."""
    action = tyro.cli(
        Annotated[Check, tyro.conf.subcommand(name="check")]
        | Annotated[Render, tyro.conf.subcommand(name="render")]
        | Annotated[Doctor, tyro.conf.subcommand(name="doctor")]
        | Annotated[Versions, tyro.conf.subcommand(name="versions")],
        description=__doc__,
    )
    code: int = action()
    return code


if __name__ == "__main__":
    main(cluster)
