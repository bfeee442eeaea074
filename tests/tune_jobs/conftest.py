import pytest
import ray

from tune_jobs import lr_grid, options, tuning


@pytest.fixture(scope="module")
def local_ray():
    """One local Ray for a test module; jobs use it as they find it."""
    tuning.torch.set_num_threads(1)
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def command(monkeypatch):
    """Run the grid's command line in this process; returns its exit code."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tune_jobs/lr_grid.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            options.main(lr_grid.lr_grid)
        return ended.value.code

    return run
