"""Jobs: named by all that matters, and records of what evaluate says, image by image."""

import pickle
from dataclasses import fields, replace

import numpy as np
import pytest
from sweeps import COUNT, seven, told, write_files

from refengine.accuracy.evaluate import evaluate
from refengine.accuracy.jobs import (
    Files,
    content_of,
    jobs_for,
    run_content,
    run_files,
    run_job,
    sha256_of,
)
from refengine.accuracy.quality import sqnr
from refengine.engine.run import run
from refengine.errors import FileError, RangeError
from refengine.network.forward import forward
from refengine.network.images import open_images, write_images
from refengine.network.int_network import accumulator_bits_needed
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def pixels(files):
    """Calibration images, images and labels."""
    with open_images(files.calibration, labels_required=False) as calibration, open_images(files.images) as images:
        return calibration.read(0, calibration.count), images.read(0, COUNT), np.asarray(images.labels)


def job_of(files, scheme=Scheme(), **counts):  # noqa: B008  (frozen)
    return jobs_for((scheme,), files, **counts)[1]


def test_a_record_says_what_evaluate_says(files, pixels):
    calibration, images, labels = pixels
    scheme = Scheme(cluster=2)
    found = run_files(job_of(files, scheme), files)
    model = quantize(seven(), calibration, scheme)
    outcome = evaluate(model, (images, labels))
    assert (found.count, found.correct, found.correct_top5) == (COUNT, outcome.correct, outcome.correct_top5)
    assert found.right.tolist() == (run(model, images).argmax(axis=1) == labels).tolist()
    assert (found.model_hash, found.made_with, found.error) == (model.hash, dict(model.made_with), None)
    assert found.multiplications_replaced == outcome.multiplications_replaced
    assert found.saturated == outcome.saturated
    assert [layer.name for layer in found.layers] == [layer.name for layer in model.layers]
    quality = sqnr(seven(), model, calibration[::2])
    for layer, made in zip(found.layers, model.layers, strict=True):
        events = outcome.layers.get(layer.name)
        assert (layer.exponent, layer.covers, layer.op) == (made.exponent, made.covers, made.op)
        assert (layer.accumulator_bits is None) == (events is None)
        assert layer.sqnr == quality[layer.name]
        if events is not None:
            assert layer.accumulator_bits == accumulator_bits_needed(*model.bounds[layer.name])
            counted = (layer.values, layer.saturated_low, layer.saturated_high, layer.overflowed)
            assert counted == tuple(vars(events).values())


def test_the_float_network_s_record(files, pixels):
    _, images, labels = pixels
    found = run_files(jobs_for((), files, limit=25)[0], files)
    assert found.right.tolist() == (forward(seven(), images[:25]).argmax(axis=1) == labels[:25]).tolist()
    assert (found.count, found.correct, found.layers) == (25, int(found.right.sum()), ())
    assert found.correct_top5 >= found.correct


def test_threads_and_travelling_change_nothing(files):
    job = job_of(files, Scheme(cluster=2), calibration_images=5, limit=33)
    content = pickle.loads(pickle.dumps(content_of(files, job)))
    wanted = told(run_files(job, files))
    assert told(run_files(job, files, threads=3)) == wanted
    assert told(run_content(pickle.loads(pickle.dumps(job)), content)) == wanted
    assert wanted["made_with"]["calibration_images"] == "5"
    assert len(content.images) == 33


def test_what_cannot_be_done_is_a_record(files, pixels):
    calibration, images, labels = pixels
    tight = Scheme(weights="int8", accumulator_bits=16)
    found = run_job(job_of(files, tight), seven(), calibration, (images, labels))
    assert found.error.startswith("layer '")
    assert "its accumulator has 16" in found.error
    assert (found.right, found.correct, found.layers) == (None, 0, ())


def test_a_key_changes_with_everything(files, tmp_path):
    job = job_of(files)
    others = [replace(job, **{name: "0" * 64}) for name in ("network", "calibration", "images")]
    others += [replace(job, calibration_images=3), replace(job, count=3), replace(job, scheme=None)]
    schemes = {"seed": 1, "layers": (("conv", "int4"),), "reestimate": True, "cluster": 5}
    others += [replace(job, scheme=replace(Scheme(), **{name: value})) for name, value in schemes.items()]
    assert len({one.key for one in (job, *others)}) == len(others) + 1
    assert set(job.definition["scheme"]) == {field.name for field in fields(Scheme)}
    assert job_of(files).key == job.key == pickle.loads(pickle.dumps(job)).key


def test_a_key_does_not_depend_on_names(files, tmp_path):
    moved = {}
    for name, path in vars(files).items():
        moved[name] = str(tmp_path / f"other {name}")
        with open(path, "rb") as source, open(moved[name], "wb") as target:
            target.write(source.read())
    assert job_of(Files(**moved)).key == job_of(files).key


def test_files_that_do_not_fit(files, tmp_path):
    rng = np.random.default_rng(0)
    write_images(tmp_path / "small.h5", rng.integers(0, 9, (3, 4, 4, 3), np.uint8), [0, 1, 2])
    with pytest.raises(RangeError, match="images are 4x4x3, the calibration images 6x5x3"):
        jobs_for((), replace(files, images=str(tmp_path / "small.h5")))
    write_images(tmp_path / "classes.h5", rng.integers(0, 9, (3, 6, 5, 3), np.uint8), [0, 1, 7])
    with pytest.raises(RangeError, match=r"classes 0\.\.6"):
        jobs_for((), replace(files, images=str(tmp_path / "classes.h5")))
    with pytest.raises(FileError, match="labels"):
        jobs_for((), replace(files, images=files.calibration))
    with pytest.raises(FileError, match="cannot be read"):
        sha256_of(str(tmp_path / "missing.h5"))
