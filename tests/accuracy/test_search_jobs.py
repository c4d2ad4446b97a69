"""Jobs of a search: images that judge are never calibrated on, no label is needed, a key is what a job depends on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import seven, write_files

from refengine.accuracy.choices import measured
from refengine.accuracy.loss import loss
from refengine.accuracy.search_jobs import (
    Given,
    SearchJob,
    Sensitivity,
    Sources,
    Trial,
    given_of,
    material,
    plan_of_job,
    run_material,
    run_sources,
    tried,
    weights_of,
)
from refengine.accuracy.workload import workloads
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.network.forward import forward
from refengine.network.images import write_images
from refengine.quantization.plan import Weights
from refengine.quantization.quantize import quantize

PLAN = ("int8", "ternary:2", "int4:4")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    files = write_files(tmp_path_factory.mktemp("search"))
    return Sources(files.network, files.calibration)


@given(st.integers(3, 400), st.data())
def test_no_image_both_calibrates_and_judges(available, data):
    judge = data.draw(st.integers(1, available // 3))
    fit = data.draw(st.integers(1, available - judge))
    some = Given("", "", available, fit, judge)
    chosen, judging = some.fit_images(), some.judge_images()
    assert (len({*chosen}), len({*judging})) == (fit, judge)
    assert not {*chosen} & {*judging}
    assert {*chosen} | {*judging} <= {*range(available)}


def test_the_files_are_known_by_their_content(sources, tmp_path):
    found = given_of(sources)
    assert (found.available, found.fit, found.judge) == (16, 11, 5)
    assert given_of(sources, 4).fit == 4
    write_images(tmp_path / "two.h5", np.zeros((2, 6, 5, 3), np.uint8), None)
    with pytest.raises(RangeError, match="a search needs 3 images or more, to calibrate and to judge; found 2"):
        given_of(replace(sources, calibration=str(tmp_path / "two.h5")))
    write_images(tmp_path / "gray.h5", np.zeros((9, 6, 5, 1), np.uint8), None)
    with pytest.raises(RangeError, match="calibration images have 1 channels"):
        given_of(replace(sources, calibration=str(tmp_path / "gray.h5")))


def test_a_job_is_called_by_all_that_its_result_depends_on(sources):
    job = SearchJob(given_of(sources), None, PLAN)
    others = [
        replace(job, layer="001_conv"),
        replace(job, options=PLAN[::-1]),
        replace(job, given=replace(job.given, fit=3)),
        replace(job, given=replace(job.given, calibration="ff")),
    ]
    assert len({job.key, *(other.key for other in others)}) == 5
    assert all(str(weights_of(text)) == text for text in PLAN)


def test_a_trial_is_a_quantization_judged_by_the_others(sources):
    job = SearchJob(given_of(sources), None, PLAN)
    trial, images = run_sources(job, sources), material(sources, job.given)
    plan = plan_of_job(job, seven())
    assert dict(plan.layers)["003_conv"] == Weights("ternary", 2)
    model = quantize(seven(), images.fit, plan=plan)
    logits = np.ldexp(run(model, images.judge).astype(float), model.layers[-1].exponent)
    wanted = loss(forward(seven(), images.judge), logits)
    assert isinstance(trial, Trial)
    assert trial.model_hash == model.hash
    assert (trial.points, trial.differing, trial.count) == (wanted.points, wanted.differing, 5)
    assert trial.kl == pytest.approx(wanted.kl)


def test_logits_that_a_pool_gives_are_judged_as_averages(sources):
    """Their sums are 30 times the averages that the float network gives."""
    job, network = SearchJob(given_of(sources), None, PLAN[:2]), replace(seven(), layers=seven().layers[:6], classes=6)
    images = material(sources, job.given)
    real = forward(network, images.judge)
    model = quantize(network, images.fit, plan=plan_of_job(job, network))
    averages = run(model, images.judge) * 2.0 ** model.layers[-1].exponent / 30
    assert tried(job, network, images, real).kl == pytest.approx(loss(real, averages).kl)


def test_a_sensitivity_is_the_same_whoever_measures_it(sources):
    layer = next(layer for layer in workloads(seven()) if layer.name == "003_conv")
    job = SearchJob(given_of(sources), layer.name, tuple(map(str, measured(layer.filters))))
    one, other = run_sources(job, sources), run_material(job, material(sources, job.given), threads=2)
    assert isinstance(one, Sensitivity)
    assert replace(one, seconds=0) == replace(other, seconds=0)
    assert len(one.errors) == len(job.options)
    assert one.loss(one.disturbed) == pytest.approx(one.kl)
    assert replace(one, disturbed=0.0).loss(1.0) == 0
