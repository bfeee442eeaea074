"""Copies into the package the files of the checkout that `bakeoff cluster` reads."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
FILES = ("cluster.yaml", "constraints.txt")
"""Files at the root, where `ray up` and `pip install -c` are given them."""


class BuildPy(build_py):
    """Build step that adds FILES to tune_jobs/cluster."""

    def run(self) -> None:
        """Build the packages, and add the files unless the install is editable."""
        super().run()
        if not self.editable_mode:
            for name in FILES:
                target = Path(self.build_lib, "tune_jobs", "cluster", name)
                self.copy_file(str(ROOT / name), str(target))


setup(cmdclass={"build_py": BuildPy})
