"""The folder of a sweep: what is written is read back, and nothing damaged is believed."""

import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import record, told

from refengine.accuracy import results
from refengine.accuracy.jobs import Files, Job
from refengine.accuracy.results import Row, Sweep, csv_of, read_record, read_sweep, write_plan, write_record
from refengine.accuracy.sealed import sealed
from refengine.errors import FileError
from refengine.quantization.scheme import Scheme

FILES = Files("some/net.h5", "calibration.h5", "images.h5")
REAL = Job(None, "a" * 64, "b" * 64, "c" * 64, 16, 5)
JOB = replace(REAL, scheme=Scheme(cluster=2, layers=(("conv*", "int4"),)))
OTHER = replace(REAL, scheme=Scheme(weights="int8", reestimate=False))


@pytest.fixture
def folder(tmp_path):
    write_plan(tmp_path, FILES, [REAL, JOB, OTHER])
    write_record(tmp_path, JOB, record())
    return tmp_path


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.floats(allow_nan=False, allow_infinity=False), st.text())
def test_a_record_is_read_back(tmp_path_factory, right, seconds, error):
    folder = tmp_path_factory.mktemp("record")
    write_plan(folder, FILES, [JOB])
    bits = np.array(right, bool)
    error = error.encode("utf-8", "replace").decode() or None
    made = record(correct=int(bits.sum()), count=len(bits), right=bits, seconds=abs(seconds), error=error)
    write_record(folder, JOB, made)
    found = read_record(folder, JOB)
    assert told(found) == told(made)
    assert found.seconds == made.seconds
    assert read_sweep(folder).rows[0].record is not None


def test_a_sweep_is_read_back(folder):
    found = read_sweep(folder)
    assert [row.job for row in found.rows] == [REAL, JOB, OTHER]
    assert [row.done for row in found.rows] == [False, True, False]
    assert found.files == Files("net.h5", "calibration.h5", "images.h5")
    assert found.float_row.job == REAL
    assert [row.job for row in found.settings] == [JOB, OTHER]
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"sweep.json", f"{JOB.key}.json"}


def place(folder):
    return folder / "jobs" / f"{JOB.key}.json"


def test_every_truncation_and_every_flipped_byte_is_seen(folder):
    whole = place(folder).read_bytes()
    for end in range(0, len(whole) - 1, 17):
        place(folder).write_bytes(whole[:end])
        with pytest.raises(FileError, match="damaged"):
            read_record(folder, JOB)
    for at, byte in [*enumerate(whole)][::3]:
        if not chr(byte).isspace():
            place(folder).write_bytes(whole[:at] + bytes([byte ^ 1]) + whole[at + 1 :])
            with pytest.raises(FileError, match=place(folder).name):
                read_record(folder, JOB)


def changed(folder, **values):
    """The record with other values, and a hash that fits."""
    content = json.loads(place(folder).read_text())
    content.pop("sha256")
    content["record"] |= values
    place(folder).write_bytes(sealed(content))


@pytest.mark.parametrize(
    "values",
    [
        {"count": "5"},
        {"count": True},
        {"count": 50},
        {"correct": 4},
        {"right": "zz"},
        {"right": None},
        {"right": 7},
        {"layers": 3},
        {"layers": [{}]},
        {"layers": [1]},
        {"network": None},
        {"seconds": "1"},
        {"made_with": {"a": 1}},
        {"made_with": 5},
        {"extra": 1},
    ],
)
def test_a_record_of_other_types_is_refused(folder, values):
    changed(folder, **values)
    with pytest.raises(FileError, match=place(folder).name):
        read_record(folder, JOB)
    assert read_sweep(folder).rows[1].failure is not None


def test_another_job_s_result_is_refused(folder):
    place(folder).rename(folder / "jobs" / f"{OTHER.key}.json")
    with pytest.raises(FileError, match="another job"):
        read_record(folder, OTHER)
    assert read_record(folder, JOB) is None


@pytest.mark.parametrize("content", ["", "[]", "null", "7", '{"format": "x"}', "[" * 100_000])
def test_a_plan_that_is_none(tmp_path, content):
    with pytest.raises(FileError, match="is no folder of a sweep, needed one that 'refengine sweep -o' made"):
        read_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(FileError, match=r"sweep\.json"):
        read_sweep(tmp_path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plan: plan.update(version=9),
        lambda plan: plan.update(jobs=3),
        lambda plan: plan.update(jobs=[1]),
        lambda plan: plan.update(files={"network": 1}),
        lambda plan: plan["jobs"][1].update(refengine="0.0.0"),
        lambda plan: plan["jobs"][1].update(count="many"),
        lambda plan: plan["jobs"][1]["scheme"].update(cluster=0),
        lambda plan: plan["jobs"][1]["scheme"].update(layers=5),
        lambda plan: plan["jobs"][1]["scheme"].update(unknown=5),
        lambda plan: plan["jobs"][1].update(scheme=[]),
    ],
)
def test_a_plan_of_other_content(folder, spoil):
    plan = json.loads((folder / "sweep.json").read_text())
    plan.pop("sha256")
    spoil(plan)
    (folder / "sweep.json").write_bytes(sealed(plan))
    with pytest.raises(FileError, match=r"sweep\.json"):
        read_sweep(folder)


def sweep():
    rows = (Row(REAL, record(4, layers=(), made_with=None)), Row(JOB, record()), Row(OTHER, failure='died, "so"'))
    return Sweep(FILES, rows)


def test_the_csv_has_a_row_for_every_job():
    real, done, failed = csv.DictReader(io.StringIO(csv_of(sweep().rows)))
    assert (real["weights"], real["cluster"], real["correct"]) == ("float", "", "4")
    assert (done["weights"], done["cluster"], done["layers"]) == ("ternary", "2", "conv*=int4")
    assert (done["correct"], done["count"], done["top1"], done["job"]) == ("3", "5", "0.6", JOB.key)
    assert float(done["top1_low"]) < 0.6 < float(done["top1_high"])
    assert (failed["error"], failed["correct"], failed["reestimate"]) == ('died, "so"', "", "no")


def test_the_hdf5_has_a_group_for_every_job(tmp_path):
    results.write_results(sweep(), tmp_path / "results.h5")
    with h5py.File(tmp_path / "results.h5") as file:
        assert file.attrs["format"] == "refengine-sweep"
        assert [*file["jobs"]] == ["00000", "00001", "00002"]
        done = file["jobs/00001"]
        assert done.attrs["top1"] == 0.6
        assert np.unpackbits(done["right"][()], count=5).tolist() == [1, 1, 1, 0, 0]
        layers = done["layers"]
        assert layers["name"][()].tolist() == [b"001_conv"]
        assert json.loads(layers["covers"][0]) == ["001_conv", "002_relu"]
        assert (layers["exponent"][0], layers["saturated_high"][0], layers["sqnr"][0]) == (-4, 5, 21.5)
        assert done["made_with"].attrs["by"] == "hand"
        assert file["jobs/00002"].attrs["error"] == 'died, "so"'
    made = record(layers=(replace(record().layers[0], sqnr=None, accumulator_bits=None, weight_format=None),))
    results.write_results(Sweep(FILES, (Row(JOB, made),)), tmp_path / "none.h5")
    with h5py.File(tmp_path / "none.h5") as file:
        layers = file["jobs/00000/layers"]
        assert math.isnan(layers["sqnr"][0])
        assert layers["accumulator_bits"][0] == -1


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made a folder"):
        write_plan(tmp_path / "file", FILES, [JOB])
    with pytest.raises(FileError, match="cannot be written"):
        results.write_whole(Path(tmp_path / "missing" / "x"), b"", "x")


def resealed(path, change):
    """The file with other content under a hash that is right."""
    content = json.loads(path.read_bytes())
    content.pop("sha256")
    change(content)
    path.write_bytes(sealed(content))


@pytest.mark.parametrize("value", [1, 0, 1.0, "yes", [True]])
def test_a_scheme_has_values_of_its_types(tmp_path, value):
    """1 is no true, though Python calls them equal: whoever prints the field knows true, false and nothing."""
    job = Job(Scheme(reestimate=True), "a" * 64, "b" * 64, "c" * 64, 16, 5)
    write_plan(tmp_path, Files("n", "c", "i"), [job])
    assert read_sweep(tmp_path).rows[0].job == job
    resealed(tmp_path / "sweep.json", lambda content: content["jobs"][0]["scheme"].update(reestimate=value))
    with pytest.raises(FileError, match="Scheme has reestimate of type"):
        read_sweep(tmp_path)


@pytest.mark.parametrize("value", [True, 5.0, 2**63, 10**400])
def test_a_count_is_an_integer_of_64_bits(tmp_path, value):
    job = Job(None, "a" * 64, "b" * 64, "c" * 64, 16, 5)
    write_plan(tmp_path, Files("n", "c", "i"), [job])
    write_record(tmp_path, job, record())
    place = next((tmp_path / "jobs").iterdir())
    resealed(place, lambda content: content["record"].update(correct_top5=value))
    with pytest.raises(FileError, match="has correct_top5 of type"):
        read_record(tmp_path, job)
