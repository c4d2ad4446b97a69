"""A real scheduler and real workers, killed with pleasure: the same figures as here."""

import os
import signal

import pytest
from dask_clusters import cluster
from sweeps import told, write_files
from verbs import refengine, refusal

from refengine.accuracy import dask_cluster, dask_jobs
from refengine.accuracy.dask_cluster import connected
from refengine.accuracy.dask_jobs import counting, records, shared
from refengine.accuracy.evaluate import evaluate
from refengine.accuracy.grid import schemes
from refengine.accuracy.jobs import jobs_for, run_files
from refengine.accuracy.processes import Failure
from refengine.accuracy.search_jobs import SearchJob, Sources, given_of, material, run_material, run_sources
from refengine.errors import RefengineError
from refengine.network.float_file import read_float_network
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network, write_int_network
from refengine.optional import installed
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

pytestmark = pytest.mark.skipif(not installed("distributed"), reason="distributed is missing")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("dask"))


@pytest.fixture(scope="module")
def model(files, tmp_path_factory):
    """An integer network in a file; stochastic, so that the number of an image matters."""
    path = tmp_path_factory.mktemp("model") / "model.h5"
    with open_images(files.calibration, labels_required=False) as images:
        scheme = Scheme(rounding="stochastic", cluster=2)
        write_int_network(quantize(read_float_network(files.network), images.read(0, 8), scheme), path)
    return str(path)


@pytest.fixture(scope="module")
def jobs(files):
    return jobs_for(schemes(["cluster=1,2,3,4,6", "weights=ternary,int4"]), files, limit=33)


@pytest.fixture(scope="module")
def wanted(files, jobs):
    return {job.key: told(run_files(job, files)) for job in jobs}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A cluster of one worker, then of three: (cluster, client)."""
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        running.worker()
        with connected(running.address) as client:
            running.wait_for_workers(client, 1)
            yield running, client


def evaluated(model, files, **keywords):
    with open_images(files.images) as images:
        network, real = read_int_network(model), read_float_network(files.network)
        outcome = evaluate(network, images, float_network=real, **keywords)
    figures = outcome.as_json()
    kl = f"{figures['kl']:.5f}"  # a mean of floats, whose last digits depend on the size of batches
    return {**figures, "seconds": None, "kl": kl}, outcome.ranks.tolist()


@pytest.mark.parametrize("workers", [1, 3])
def test_the_same_figures_with_any_number_of_workers(three, files, jobs, wanted, model, workers):
    running, client = three
    for _ in range(workers - len(client.nthreads())):
        running.worker()
    running.wait_for_workers(client, workers)
    found = {job.key: told(record) for job, record in records(client, files, jobs)}
    assert found == wanted
    told_here = evaluated(model, files)
    elsewhere = counting(client, model, files.network, "fast")
    assert evaluated(model, files, batch=3, elsewhere=elsewhere) == told_here


def test_evaluate_and_sweep_give_the_same_on_a_cluster(three, files, model, tmp_path):
    running, _ = three
    call = ("evaluate", model, files.images, "--float", files.network, "--batch", "7", "--json", "-")
    here, there = refengine(*call), refengine(*call, "--dask", running.address)
    assert there.code == 0
    assert {**there.json, "seconds": 0} == {**here.json, "seconds": 0}
    assert f"{running.address}: " in there.err
    sweep = ("sweep", files.network, "--calibration", files.calibration, "--images", files.images)
    outcome = refengine(*sweep, "cluster=1,2", "-o", tmp_path / "made", "--dask", running.address, "--json", "-")
    assert outcome.code == 0
    found = {row["job"]: row["correct"] for row in outcome.json["jobs"]}
    jobs = jobs_for(schemes(["cluster=1,2"]), files)
    assert found == {job.key: run_files(job, files).correct for job in jobs}


def test_a_search_makes_the_same_model_on_a_cluster(three, files):
    _, client = three
    sources = Sources(files.network, files.calibration)
    jobs = [SearchJob(given_of(sources), None, ("int8", weights, "int8")) for weights in ("ternary:2", "int4:4")]
    found = dict(shared(client, jobs, lambda job: material(sources, job.given), run_material))
    assert {job: trial.model_hash for job, trial in found.items()} == {
        job: run_sources(job, sources).model_hash for job in jobs
    }


def test_a_worker_of_another_version_refuses(three, files, jobs, model, monkeypatch):
    _, client = three
    monkeypatch.setattr(dask_jobs, "PROGRAM", ("0.0.0", 0))
    found = [answer for _, answer in records(client, files, jobs[:1])]
    assert isinstance(found[0], Failure)
    assert "needed 0.0.0, contract 0" in found[0].reason
    with pytest.raises(RefengineError, match="images from 0 on were not counted: a worker has refengine"):
        evaluated(model, files, elsewhere=counting(client, model, None, "fast"))


def test_a_killed_worker_loses_nothing(files, jobs, wanted, tmp_path):
    """The only worker dies in the middle, with everything that it was sent; another one takes its place."""
    with cluster(tmp_path) as running:
        victim = running.worker()
        with connected(running.address) as client:
            found = {}
            for job, record in records(client, files, jobs):
                found[job.key] = told(record)
                if len(found) in (2, 5):
                    os.kill(victim.pid, signal.SIGKILL)
                    victim = running.worker()
            assert found == wanted


def test_much_content_is_sent_in_silence(three, recwarn):
    _, client = three
    assert len(dask_jobs._sent(client, bytes(12_000_000)).result()) == 12_000_000
    assert not [*recwarn]


def test_a_scheduler_that_is_killed_is_one_line(files, jobs, tmp_path):
    with cluster(tmp_path) as running:
        running.worker()
        with connected(running.address) as client:
            asked = records(client, files, jobs)
            next(asked)
            running.processes[0].kill()
            with pytest.raises(RefengineError, match="scheduler is gone"):
                list(asked)


def test_evaluate_without_a_scheduler_is_refused_in_one_line(files, model, monkeypatch):
    monkeypatch.setattr(dask_cluster, "SECONDS", 1)
    line = refusal("evaluate", model, files.images, "--dask", "tcp://127.0.0.1:1")
    assert "--dask tcp://127.0.0.1:1: no Dask scheduler answers there" in line
