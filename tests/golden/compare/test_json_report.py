"""JSON that holds everything that was found."""

import json

import numpy as np
from dumps import in_every_form, integers_of, network_and_images

from refengine.golden.compare.compare import compare
from refengine.golden.compare.json_report import figures, self_test_figures
from refengine.golden.compare.pairs import Rules
from refengine.golden.compare.self_test import self_test
from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.open_dump import open_dump


def one_wrong():
    golden = {"a": {"code": np.arange(12, dtype=np.int8).reshape(1, 2, 2, 3)}, "b": {"code": np.zeros((1, 2), np.int8)}}
    dut = {"a": {"code": golden["a"]["code"].copy()}, "b": {"code": np.zeros((1, 3), np.int8)}}
    dut["a"]["code"][0, 1, 0, 2] = -8
    return compare(in_memory(golden), in_memory(dut))


def test_json_holds_everything():
    found = one_wrong()
    written = json.loads(json.dumps(figures(found)))
    assert (written["values_different"], written["explanation"]) == (1, None)
    assert written["not_judged"] == {"dut": [], "golden": []}
    assert (written["equal"], written["layers_compared"], written["values_compared"]) == (False, 1, 12)
    first = written["first"]
    assert (first["layer"], first["stage"], first["index"]) == ("a", "code", [0, 1, 0, 2])
    assert (first["golden"], first["got"], first["got_hex"], first["xor"]) == (8, -8, "0xf8", "0xf0")
    assert first["address"] == {"golden": None, "dut": None}
    entire = written["layers"][0]["stages"][0]["entire"]
    assert (entire["different"], entire["histogram"]) == (1, {"-31..-16": 1})
    assert written["layers"][1]["stages"][0]["problem"] == "has shape 3, the golden 2"


def test_addresses_are_those_of_the_pack(tmp_path):
    network, images = network_and_images()
    paths = in_every_form(tmp_path, network, images)
    stages, _ = integers_of(paths["trace"])
    layer = network.layers[1].name
    stages[layer]["code"][1, 0, 0, 0] ^= 1
    with open_dump(paths["pack"]) as golden:
        dut = in_memory(stages)
        first = figures(compare(golden, dut), golden.address_of, dut.address_of)["first"]
        address = golden.address_of(layer, "code", 1, 0, 0, 0)
    assert first["address"]["golden"] == {"file": address.file, "word": address.word, "bit": address.bit}
    assert first["address"]["dut"] is None


def test_what_was_not_judged_and_what_explains_it():
    rng = np.random.default_rng(1)
    codes = [rng.integers(0, 99, (2, 3, 3, 3)) for _ in range(3)]
    golden = {f"{n}": {"accumulator": code, "code": code} for n, code in enumerate(codes)}
    dut = {f"{n}": {"code": code.transpose(0, 3, 1, 2)} for n, code in enumerate(codes)}
    written = json.loads(json.dumps(figures(compare(in_memory(golden), in_memory({**dut, "u": dut["0"]})))))
    assert written["not_judged"] == {"dut": ["accumulator"], "golden": []}
    assert (written["explanation"]["equal"], written["explanation"]["changed"]) == (3, 3)
    assert (written["layers"][-1]["verdict"], "--map" in written["layers"][-1]["hint"]) == ("unknown", True)


def test_a_self_test_is_written_with_every_seed():
    held = {name: {"code": np.arange(12, dtype=np.uint8).reshape(2, 6)} for name in ("a", "b")}
    tested = self_test(in_memory(held), in_memory(held), Rules(exclude=("b",)))
    written = json.loads(json.dumps(self_test_figures(tested)))
    assert written["seeds"][0]["unnoticed"] == [{"layer": "b", "stage": "code", "why": "excluded by name"}]
    rows = next(seed for seed in written["seeds"] if seed["name"] == "rows_swapped")
    assert [one["layer"] for one in rows["not_applicable"]] == ["a", "b"]
    assert not written["passed"]
