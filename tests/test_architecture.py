"""The levels of docs/architecture.md, read off the imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("bakeoff", "trainables", "tune_jobs")
LEVELS = (
    ("bakeoff",),
    ("scripts",),
    ("search", "test_set", "data_check", "ranking"),
    ("tuning", "cluster"),
    ("command_line",),
    ("analysis", "ray_runtime"),
    ("run_folder", "search_space"),
    ("trainables",),
)
"""Rooms from the top down: a room imports from lower levels alone."""
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
LONGEST_FILE = 300
HEAVY = {"matplotlib", "numpy", "optuna", "pandas", "pyarrow", "ray", "torch", "torchvision"}


def files_of(*folders):
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    assert files, folders
    return [str(file.relative_to(ROOT)) for file in files]


def tree_of(file):
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def imports_of(tree):
    """Every module that is imported, and every name that is imported from one, with dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages_imported_by(file):
    return {name.split(".")[0] for name in imports_of(tree_of(file))}


def room_of(path):
    """The room of a module, by its parts: tune_jobs, run_folder, folder."""
    if path[0] in ("bakeoff", "trainables"):
        return path[0]
    if path[0] != "tune_jobs":
        return None
    return path[1] if len(path) > 1 and (ROOT / "tune_jobs" / path[1]).is_dir() else "scripts"


def test_every_room_has_a_level_and_says_what_it_is():
    rooms = {file.parent.name for file in (ROOT / "tune_jobs").glob("*/__init__.py")}
    assert rooms | {"bakeoff", "scripts", "trainables"} == set(LEVEL)
    for file in (ROOT / "tune_jobs").rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(file.read_text())), file


@pytest.mark.parametrize("file", files_of(*PACKAGES))
def test_every_import_goes_down(file):
    own = room_of(Path(file).with_suffix("").parts)
    for name in imports_of(tree_of(file)):
        room = room_of(name.split("."))
        if room not in (None, own):
            assert LEVEL[own] < LEVEL[room], f"{own} imports {name} of {room}"


@pytest.mark.parametrize("file", files_of("trainables", "tune_jobs"))
def test_no_script_is_imported_but_by_the_functions_of_python(file):
    for name in imports_of(tree_of(file)):
        assert room_of(name.split(".")) != "scripts", name


def test_no_import_goes_in_a_circle():
    names = {file: Path(file).with_suffix("").parts for file in files_of(*PACKAGES)}
    modules = {".".join(parts).removesuffix(".__init__"): file for file, parts in names.items()}
    edges = {
        module: {
            name if name in modules else name.rpartition(".")[0]
            for name in imports_of(tree_of(file))
        }
        for module, file in modules.items()
    }
    edges = {module: others & set(modules) - {module} for module, others in edges.items()}
    while leaves := {module for module, others in edges.items() if not others}:
        edges = {m: others - leaves for m, others in edges.items() if m not in leaves}
    assert not edges


@pytest.mark.parametrize("file", files_of("trainables"))
def test_only_trainable_py_knows_ray(file):
    assert ("ray" in packages_imported_by(file)) == (file == "trainables/trainable.py")


@pytest.mark.parametrize("file", files_of(*(f"tune_jobs/{room}" for room in LEVELS[6])))
def test_files_and_search_spaces_know_no_ray(file):
    assert "ray" not in packages_imported_by(file)


@pytest.mark.parametrize("file", files_of("tune_jobs/analysis", "tune_jobs/data_check"))
def test_analysis_reads_files_and_never_ray_objects(file):
    assert "ray" not in packages_imported_by(file)


def ray_names(tree):
    """Local names of what is imported from Ray."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None)
            for alias in node.names:
                full = alias.name if module is None else f"{module}.{alias.name}"
                if full.split(".")[0] == "ray":
                    yield alias.asname or alias.name.split(".")[0]


def private_names_of_ray(tree):
    """Private modules and names that are imported from Ray, and private attributes of its own.

    An attribute is Ray's where it is of a name imported from Ray, of a trial, or of `self` in a
    class that derives from one of Ray's and does not set it itself.
    """

    def private(name):
        return name.startswith("_") and not name.startswith("__")

    for name in imports_of(tree):
        if name.split(".")[0] == "ray" and any(private(part) for part in name.split(".")):
            yield name
    own = set(ray_names(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and private(node.attr):
            base = node.value
            while isinstance(base, ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name) and base.id in own | {"trial", "tune_controller"}:
                yield f"{base.id}.{node.attr}"
        if isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
            if bases & own:
                yield from private_attributes_not_set(node, private)


def private_attributes_not_set(class_, private):
    known, used = set(), set()
    for node in ast.walk(class_):
        if isinstance(node, ast.FunctionDef):
            known.add(node.name)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and private(node.attr)
        ):
            (known if isinstance(node.ctx, ast.Store) else used).add(node.attr)
    return (f"{class_.name}.{name}" for name in used - known)


@pytest.mark.parametrize("file", files_of(*PACKAGES))
def test_private_names_of_ray_stand_in_two_files(file):
    found = set(private_names_of_ray(tree_of(file)))
    named = [f"tune_jobs/ray_runtime/{name}_internals.py" for name in ("ray", "tune")]
    assert bool(found) == (file in named), found


@pytest.mark.parametrize("file", files_of("tune_jobs"))
def test_only_the_room_of_the_test_set_reads_its_images(file):
    """Nothing else has the indices of the test split, `split.test`."""
    if not file.startswith("tune_jobs/test_set/"):
        read = [node for node in ast.walk(tree_of(file))
                if isinstance(node, ast.Attribute) and node.attr == "test"]  # fmt: skip
        assert not read, [node.lineno for node in read]


@pytest.mark.parametrize("file", files_of(*PACKAGES))
def test_no_file_is_long(file):
    assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) < LONGEST_FILE


@pytest.mark.parametrize("file", files_of(*PACKAGES))
def test_every_field_is_described(file):
    """A dataclass, NamedTuple or TypedDict has a docstring below each of its fields."""
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.ClassDef) and has_fields(node):
            for field, below in zip(node.body, [*node.body[1:], None], strict=True):
                if isinstance(field, ast.AnnAssign) and "ClassVar" not in ast.unparse(field):
                    described = isinstance(below, ast.Expr) and isinstance(
                        below.value, ast.Constant
                    )
                    assert described, f"{node.name}.{ast.unparse(field.target)}"


def has_fields(class_):
    words = " ".join(map(ast.unparse, [*class_.decorator_list, *class_.bases]))
    return any(word in words for word in ("dataclass", "NamedTuple", "TypedDict"))


@pytest.mark.parametrize(
    "module",
    [
        "bakeoff",
        "trainables.config",
        "trainables.source_options",
        *(f"tune_jobs.{name}" for name in ("lr_grid", "optuna_search", "finetune", "compare")),
        "tune_jobs.__main__",
        "tune_jobs.predict",
        "tune_jobs.check_data",
        "tune_jobs.run_file",
        "tune_jobs.runs",
        "tune_jobs.search_space.defaults",
        "tune_jobs.search_space.space_file",
    ],
)
def test_nothing_heavy_is_imported_before_options_are_read(module):
    code = f"import sys, {module}; print(*{HEAVY} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


@pytest.mark.parametrize("file", files_of("tests"))
def test_no_test_patches_an_import_site(file):
    """What a test replaces, it replaces where it is defined."""
    tree = tree_of(file)
    modules = dict(imported_modules(tree))
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).endswith(".setattr")):
            continue
        target, name = node.args[0], node.args[1]
        if isinstance(target, ast.Name) and target.id in modules:
            defined = imports_of(tree_of(modules[target.id]))
            name = ast.literal_eval(name) if isinstance(name, ast.Constant) else None
            assert name not in {full.split(".")[-1] for full in defined}, f"{target.id}.{name}"


def imported_modules(tree):
    """Local names of our modules that a test imports, and their files."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                file = f"{node.module}.{alias.name}".replace(".", "/") + ".py"
                if file.startswith(PACKAGES) and (ROOT / file).exists():
                    yield alias.asname or alias.name, file
