import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def files_of(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files, folder
    return [str(file.relative_to(ROOT)) for file in files]


def packages_imported_by(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            modules.add(node.module)
    return {module.split(".")[0] for module in modules}


@pytest.mark.parametrize("file", files_of("trainables"))
def test_trainables_imports_nothing_of_tune_jobs(file):
    assert "tune_jobs" not in packages_imported_by(file)


@pytest.mark.parametrize("file", files_of("trainables"))
def test_only_trainable_py_knows_ray(file):
    assert ("ray" in packages_imported_by(file)) == (file == "trainables/trainable.py")


@pytest.mark.parametrize("file", files_of("tune_jobs/analysis"))
def test_analysis_reads_files_and_never_ray_objects(file):
    assert "ray" not in packages_imported_by(file)


def test_config_is_imported_without_anything_heavy():
    code = (
        "import sys, trainables.config\n"
        "print(*{'numpy', 'pyarrow', 'ray', 'torch', 'torchvision'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""
