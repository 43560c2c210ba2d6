"""The same work by a Ray cluster on this machine, with two workers. Skips where Ray is not installed."""

import json
import os
import random

import pytest
from batches import children_of, command, files_of, kill, lines_of, wait_for, write_table

import amt
from amt.data import prepare as prepare_module
from amt.midi.reference.random_pieces import random_piece
from amt.workers import Died, Workers, each_done

ray = pytest.importorskip("ray", reason='Ray is not installed: pip install ".[ray]" in an environment of its own')
LONG = {"min_new_tokens": 1000, "max_new_tokens": 1000, "rerank": 1}


@pytest.fixture(scope="module")
def cluster():
    """A cluster of two processors that outlives who asks it."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # usually 15: beside other work they would hardly begin
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
        yield made
        made.shutdown()


@pytest.fixture(autouse=True)
def disconnected():
    yield
    assert not ray.is_initialized()


def busy_workers(cluster):
    """The processes that do a task of AMT now."""
    (raylet,) = cluster.head_node.all_processes["raylet"]
    return [pid for pid, words in children_of(raylet.process.pid).items() if words.startswith("ray::_by_ray")]


def test_each_job_is_done_once(cluster):
    jobs = [f"{number} * 7" for number in range(23)]
    found = list(each_done(eval, jobs, Workers(ray=cluster.address)))
    assert sorted(found) == sorted((job, eval(job)) for job in jobs)
    with pytest.raises(ValueError, match="could not convert"):
        list(each_done(eval, ["1", "float('x')"], Workers(ray=cluster.address)))
    job = "__import__('os')._exit(3)"
    found = dict(each_done(eval, ["1 + 1", job, "2 + 2"], Workers(2, cluster.address)))
    assert isinstance(found[job], Died) and "worker of Ray ended" in found.pop(job).reason
    assert found == {"1 + 1": 2, "2 + 2": 4}


def test_another_version_on_a_machine_is_an_error(cluster, monkeypatch):
    monkeypatch.setattr("amt.workers.__version__", "99")
    with pytest.raises(RuntimeError, match="install the same everywhere"):
        list(each_done(eval, ["1"], Workers(ray=cluster.address)))


def test_ray_changes_nothing(cluster, whole, table, model):
    amt.generate_batch(table, table.parent / "out", model=model, ray=cluster.address, batch_size=2)
    assert files_of(table.parent / "out") == files_of(whole[1])


def test_a_run_that_is_killed_goes_on(cluster, table, model):
    """kill -9 of the driver, then of a worker: nothing is lost, and nothing is there twice."""
    rows = [{"text": "a waltz", "id": f"row-{number}", **LONG} for number in range(8)]
    write_table(table.parent, rows)
    out = table.parent / "out"
    arguments = (table, "-o", out, "--model", model, "--ray-address", cluster.address, "--batch-size", "1")
    with command(*arguments) as process:
        wait_for(lambda: lines_of(out), process)
        kill(process.pid)
    done = {line["id"]: (out / line["file"]).stat().st_mtime_ns for line in lines_of(out)}
    assert 1 <= len(done) < len(rows) and len(lines_of(out)) == len(done)
    wait_for(lambda: not busy_workers(cluster))  # nobody works for one that is gone
    with command(*arguments) as process:
        kill(wait_for(lambda: busy_workers(cluster), process)[0])
        assert process.wait() == 0, process.stderr.read()
    assert {name: (out / f"{name}.mid").stat().st_mtime_ns for name in done} == done
    assert [line["id"] for line in lines_of(out)] == [row["id"] for row in rows]
    amt.generate_batch(table, table.parent / "again", model=model)
    assert files_of(out) == files_of(table.parent / "again")


@pytest.fixture
def corpus(tmp_path):
    rng, folder = random.Random(5), tmp_path / "corpus"
    folder.mkdir()
    for number in range(17):
        (folder / f"{number}.mid").write_bytes(random_piece(rng).to_bytes() if number != 7 else b"not music")
    rows = [{"file": f"{number}.mid", "caption": f"caption {number}"} for number in range(17)]
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_prepared_data_is_the_same(cluster, corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "BLOCK_PIECES", 3)
    contents = {}
    for name, workers in (("one", {"jobs": 1}), ("two", {"jobs": 2}), ("ray", {"ray": cluster.address})):
        summary = amt.prepare(corpus, tmp_path / name, embed=False, **workers)
        assert [failure["file"] for failure in summary["failures"]] == ["7.mid"]
        paths = (path for path in (tmp_path / name).rglob("*") if path.is_file())
        contents[name] = {path.relative_to(tmp_path / name): path.read_bytes() for path in paths}
    assert contents["one"] == contents["two"] == contents["ray"] and len(contents["one"]) > 10


def test_without_a_cluster_one_is_made_here(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = dict(each_done(eval, ["1 + 1", "__import__('os').getpid()"], Workers(ray="local")))
    assert found.pop("1 + 1") == 2 and found.popitem()[1] != os.getpid()
