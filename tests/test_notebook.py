"""docs/notebook.ipynb runs from top to bottom, in a kernel of its own."""

from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "docs" / "notebook.ipynb"


def test_no_output_of_another_version_is_kept():
    nbformat = pytest.importorskip("nbformat")
    cells = nbformat.read(FILE, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)


@pytest.mark.faults
def test_the_notebook_runs(tmp_path, monkeypatch):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(FILE.parents[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(FILE, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()  # raises CellExecutionError where a cell does
    pages = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "text/html" in output.get("data", {})
    ]
    assert "" not in pages
    assert 'src="data:image/png;base64,' in pages[0]  # the run, with its curves
    assert any("report.html</a>" in page for page in pages)
    texts = [
        output.get("text", "") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    assert "[]" in texts  # the repeated run is the same to the bit
    assert any("did you mean lr?" in text for text in texts)
