"""On a real Ray of several nodes, on this machine."""

from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from tests.images import ImageFiles
from tests.tune_jobs.conftest import command_line
from trainables.errors import InputError
from tune_jobs import lr_grid
from tune_jobs.analysis.results import load_trials
from tune_jobs.ray_runtime import capacity, storage_check
from tune_jobs.ray_runtime.capacity import NodeType
from tune_jobs.ray_runtime.storage_check import check_source, check_storage, shared
from tune_jobs.run_folder.folder import RunFolder

command = command_line(lr_grid.lr_grid)


@pytest.fixture(scope="module")
def cluster(forked_workers):
    """A head node without cores and two nodes with one each, as far as Ray can tell."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    ray.init(address=made.address, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.cluster
def test_a_grid_runs_on_the_nodes_of_a_cluster(cluster, tmp_path):
    assert command("--smoke-test", "--lr", 1e-3, 1e-2, "--storage-path", tmp_path) == 0
    assert load_trials(tmp_path / "lr-grid")["status"].tolist() == ["finished"] * 2
    assert not list(tmp_path.glob(".seen-*"))


@pytest.mark.cluster
def test_a_storage_that_a_node_cannot_read_is_refused(
    cluster, tmp_path, monkeypatch, assert_one_message
):
    unable = ray.nodes()[1]["NodeID"]
    real = storage_check.reads
    monkeypatch.setattr(
        storage_check, "reads",
        lambda node, uri, name: real(node, "/nowhere" if node == unable else uri, name),
    )  # fmt: skip
    assert command("--smoke-test", "--storage-path", tmp_path) == 2
    assert_one_message(["cannot be read by node", "s3://bucket/path"])
    assert list(tmp_path.iterdir()) == []


class HereOnly(ImageFiles):
    """Image files that one node reads alone."""

    def __init__(self, paths, node):
        super().__init__(paths)
        self.node = node

    def read(self, row):
        if ray.get_runtime_context().get_node_id() != self.node:
            raise FileNotFoundError(self.paths[row])
        return super().read(row)


@pytest.mark.cluster
def test_images_that_a_node_cannot_read_are_refused_by_name(cluster, tmp_path):
    file = tmp_path / "1.png"
    file.write_bytes(b"content")
    check_source(str(tmp_path), ImageFiles([file]))
    here = ray.get_runtime_context().get_node_id()
    with pytest.raises(InputError, match=r"1\.png cannot be read.* folder that all nodes share"):
        check_source(str(tmp_path), HereOnly([file], here))


@pytest.mark.cluster
def test_a_node_that_leaves_meanwhile_is_not_blamed(cluster, tmp_path):
    idle = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    cluster.remove_node(idle)
    assert storage_check.reads(idle.node_id, str(tmp_path), "file") is None


def test_images_of_the_head_are_refused_where_nodes_are_yet_to_start(tmp_path, monkeypatch):
    file = tmp_path / "1.png"
    file.write_bytes(b"content")
    monkeypatch.setattr(ray, "nodes", lambda: [
        {"Alive": True, "NodeID": "1", "NodeManagerHostname": "head"}])  # fmt: skip
    monkeypatch.setattr(capacity, "node_types", lambda: ([NodeType({"CPU": 1}, 1)], 1))
    with pytest.raises(InputError, match="is on a local disk, which nodes that the autoscaler"):
        check_source(str(tmp_path), ImageFiles([file]))
    monkeypatch.setattr(capacity, "node_types", lambda: ([], 0))
    check_source(str(tmp_path), ImageFiles([file]))


def test_a_folder_of_the_head_is_refused_where_nodes_are_yet_to_start(tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "nodes", lambda: [
        {"Alive": True, "NodeID": "1", "NodeManagerHostname": "head"}])  # fmt: skip
    monkeypatch.setattr(capacity, "node_types", lambda: ([NodeType({"CPU": 1}, 1)], 1))
    with pytest.raises(InputError, match="that the autoscaler starts cannot read"):
        check_storage(RunFolder.at(tmp_path))
    monkeypatch.setattr(capacity, "node_types", lambda: ([], 0))
    check_storage(RunFolder.at(tmp_path))


def test_folders_of_the_network_are_known_by_their_mount(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda / ext4 rw 0 0\nhost:/export /mnt/my\\040share nfs4 rw 0 0\n"
        "/dev/sdb /mnt/my\\040share/disk xfs rw 0 0\n"
    )
    monkeypatch.setattr(storage_check, "MOUNTS", mounts)
    assert shared(Path("/mnt/my share/runs"))
    assert not shared(Path("/mnt/my share/disk/runs"))
    assert not shared(Path("/home/runs"))
