"""What devices under test really do, from the files to the cause: each situation has its right answer."""

import numpy as np
import pytest
from everyday import everyday
from golden_cases import conv_case
from mutation.fault_table import golden_run, with_fault
from mutation.faults import FAULTS
from networks import random_images
from verbs import outcome_of

from refengine.cli.compare import command
from refengine.network.int_file import write_int_network

LAYER = "003_conv"
CALL = (command, "golden", "dut", "--model", "model.h5")


def write_dump(folder, made, left_out=()):
    folder.mkdir()
    for layer, stages in made.items():
        for stage, values in stages.items():
            if (layer, stage) not in left_out:
                np.save(folder / f"{layer}.{stage}.npy", values)


@pytest.fixture(scope="module")
def golden():
    network = conv_case(7, 1, size=(14, 12), inputs=8, outputs=8, cluster=2, residual=True, shift=14).network
    return golden_run(network, random_images(network, 2, 3))


@pytest.fixture
def compared(golden, tmp_path, monkeypatch):
    """compared(name of a planted mistake or stages, what is left out) -> the outcome of the command."""

    def run(fault, *left_out, run_of=golden, more=()):
        monkeypatch.chdir(tmp_path)
        write_int_network(run_of.network, "model.h5")
        stages = FAULTS[fault].stages(run_of.cases[LAYER]) if isinstance(fault, str) else fault
        write_dump(tmp_path / "golden", run_of.stages)
        write_dump(tmp_path / "dut", with_fault(run_of, LAYER, stages), [(LAYER, stage) for stage in left_out])
        return outcome_of(*CALL, *more)

    return run


ANSWERS = {
    "shift_logical_32": ("the shift right is logical", False),
    "acc_short_wrap": ("an accumulator of 19 bits wraps", True),
    "total_wrap": ("the sum before rounding wraps in", True),
    "total_saturate": ("the sum before rounding saturates in", True),
    "pair_saturate": ("the sum of each two products of neighbouring channels saturates in", True),
    "bias_low_bits": ("the bias loses its lowest 4 bits", True),
    "stall": ("from word 504 on each holds the one before", True),
    "scale_pairs": ("scales along the clusters: place g is read from g xor 1", True),
    "tile_column_twice": ("in column 6 alone, all products are accumulated twice", True),
    "halo_4_above": ("tiles of 4 rows do not see the rows before them", True),
    "scale_last_next": ("the last cluster's scale along the output channels: each is read 1 place after its own", True),
    "residual_channel_late": ("channels of the residual: each is read 1 place before its own", True),
    "write_nchwc4": ("written N C/4 H W 4 (NCHW4c), read as N H W C", True),
}


@pytest.mark.parametrize("fault", everyday(ANSWERS, 3))
def test_the_cause_is_named(compared, fault):
    sentence, certain = ANSWERS[fault]
    outcome = compared(fault)
    cause = next(line for line in outcome.out.splitlines() if line.startswith("cause: "))
    assert outcome.code == 1
    assert f"faulty layer: {LAYER} goes wrong by itself" in outcome.out
    assert sentence in cause
    assert ("not certain: " not in cause) == certain


def test_saturating_at_the_end_or_at_each_addition_is_not_certain_where_nothing_tells(compared):
    """One cluster: the only additions are the bias and one sum, so that both write the same."""
    network = conv_case(7, 1, size=(14, 12), inputs=8, outputs=8, cluster=8, shift=14).network
    run = golden_run(network, random_images(network, 2, 3))
    out = compared("acc_short_saturate", run_of=run).out
    assert "cause: 003_conv: not certain: " in out
    assert "saturates at the end" in out


def test_a_bias_that_is_off_is_said_with_its_values(compared):
    where = next(line for line in compared("bias_word").out.splitlines() if "constant in its channel" in line)
    said = "every difference is constant in its channel: channel 4 by +4096; of accumulators, look at the bias"
    assert where == f"  where: {said}"


def test_where_is_said_in_rows_columns_and_periods(compared):
    found = compared("tile_row_twice", more=("--json", "-")).json
    layer = next(layer for layer in found["layers"] if layer["name"] == LAYER)
    places = next(one for one in layer["where"] if one["kind"] == "places")
    assert places["rows"] == {"places": [3, 7, 11], "count": 3, "of": 14, "period": 4, "phase": 3}
    assert "all differences lie in rows 3, 7, 11 (period 4)" in places["sentence"]


def test_a_mistake_that_nobody_knows_has_no_cause_but_a_place(compared, golden):
    stages = {name: values.copy() for name, values in golden.stages[LAYER].items()}
    draws = np.random.default_rng(1).integers(0, 256, stages["code"][:, 2::5].shape)
    stages["code"][:, 2::5] = draws
    out = compared(stages).out
    assert "cause: 003_conv: no fault hypothesis explains the" in out
    assert "all differences lie in rows 2, 7, 12 (period 5)" in out
    assert "best explanation" not in out


def test_codes_alone_are_less_certain_than_sums(compared):
    out = compared("clip_top_low", "accumulator", "total").out
    assert "cause: 003_conv: not certain: " in out


def test_a_page_of_pictures(compared, tmp_path):
    outcome = compared("tile_column_twice", more=("--html", "page.html"))
    text = (tmp_path / "page.html").read_text()
    assert outcome.code == 1
    assert text.count("data:image/png;base64,") == 4 + 8
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "all products are accumulated twice" in text
    assert "channel 3: " in text


def test_a_word_of_unknown_bits_does_not_hide_the_cause(compared, tmp_path):
    """As RTL dumps its first word; the same dump without it names the same cause."""
    outcome = compared("bias_missing")
    values = np.load(tmp_path / "dut" / f"{LAYER}.code.npy").reshape(-1)
    (tmp_path / "dut" / f"{LAYER}.code.npy").unlink()
    words = "\n".join(["xx", *(f"{value:02x}" for value in values[1:])])
    (tmp_path / "dut" / f"{LAYER}.code.memh").write_text(f"{words}\n")
    with_x = outcome_of(*CALL)
    causes = [next(line for line in one.out.splitlines() if line.startswith("cause: ")) for one in (outcome, with_x)]
    assert all(f"cause: {LAYER}: the bias (of an input layer: the mean) is missing" in line for line in causes)
    assert causes[1].endswith("; 1 value with unknown bits left out")
