import copy

import pytest

from tune_jobs.cluster.config import CLUSTER_FILE, ROOT, read_config


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with a token; the working directory is the checkout."""
    token = tmp_path / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("secret")
    token.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(ROOT)
    return tmp_path / "home"


@pytest.fixture
def config():
    return copy.deepcopy(read_config(CLUSTER_FILE))
