"""refengine cost: the table over clusters, its JSON, every kind of input, and everything that it refuses."""

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.accuracy.cost import network_cost
from refengine.accuracy.energy import DEFAULT, HOROWITZ
from refengine.network.int_file import read_int_network

ROOT = Path(__file__).resolve().parents[2]


def table(text):
    """{label: {column: cell}} of the table over clusters, labels as they first occur; cells end where heads end."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("clusters of"))
    heads = list(re.finditer(r"\S+", lines[start]))[2:]
    rows = {}
    for line in lines[start + 1 :]:
        if line.startswith("energy if"):
            break
        label = re.split(r"  +", line.strip())[0]
        edges = [line.index(label) + len(label), *(head.end() for head in heads)]
        cells = [line[left:right].strip() for left, right in pairwise(edges)]
        rows.setdefault(label, {head[0]: cell for head, cell in zip(heads, cells, strict=True) if cell})
    return rows


def blocks_of_the_page():
    """(command, what the page shows of its output) in docs/accuracy.md."""
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    console_then_text = r"^```console\n\$ refengine (cost .*?)\n```\n\n```text\n(.*?)^```$"
    return re.findall(console_then_text, page, re.MULTILINE | re.DOTALL)


def test_resnet101_as_the_page_shows_it():
    """Line for line, '...' aside: 85.0 and 97.6 % in both ways of counting, and where the stride lies."""
    ((command, shown),) = blocks_of_the_page()
    outcome = refengine(*command.split())
    assert (outcome.code, outcome.err) == (0, "")
    printed = outcome.out.splitlines()
    assert [line for line in shown.splitlines() if line not in printed] == ["..."]
    assert printed[0] == "resnet101: one image of 224x224x3, bottlenecks with the stride in the 1x1 convolution"
    rows = table(outcome.out)
    for label in ("multiplications replaced", "as the paper counts"):
        assert [rows[label][column] for column in ("4", "64")] == ["85.0 %", "97.6 %"]
    assert rows["multiplications replaced"]["int8"] == "0.0 %"
    assert (rows["multiplications replaced"]["int4"], rows["multiplications, M"]["int4"]) == ("-13.4 %", "8585.0")
    assert rows["multiplications, M"]["float32"] == "7570.2"


def test_a_network_of_integers(files):
    """Its own column has its formats and zeros, and evaluate's share."""
    model = read_int_network("model.h5")
    figures = refengine("cost", "model.h5", "--cluster", "1,2", "--json", "-").json
    assert (figures["report"], figures["network"], figures["model_hash"]) == ("cost", "every_op", model.hash)
    assert [column["name"] for column in figures["columns"]] == ["own", "1", "2", "int4", "int8", "float32"]
    own = figures["columns"][0]
    cost = network_cost(model)
    assert own["layers"][1]["without_zeros"] is not None
    assert own["additions_without_zeros"] == cost.additions_without_zeros < own["additions"]
    evaluated = refengine("evaluate", "model.h5", "images.h5", "--backend", "reference", "--json", "-").json
    share = evaluated["multiplications_replaced"]
    assert own["multiplications_replaced"] == cost.multiplications_replaced == share
    assert figures["columns"][1]["additions_without_zeros"] is None


def test_a_float_network_is_counted_as_quantize_would_make_it(files):
    """The column of 4, which is the default scheme's."""
    figures = refengine("cost", "net.h5", "--cluster", "4", "--json", "-").json
    assert figures["model_hash"] is None
    column = figures["columns"][0]
    own = refengine("cost", "model.h5", "--json", "-").json["columns"][0]
    for name in ("macs", "multiplications", "additions"):
        assert column[name] == own[name]


def test_the_table_is_what_the_json_says(files):
    """Printed beside the JSON, and the same figures."""
    outcome = refengine("cost", "model.h5", "--json", "figures.json")
    figures = json.loads((files / "figures.json").read_text())
    rows = table(outcome.out)
    names = [column["name"] for column in figures["columns"]]
    assert names == ["own", "1", "2", "4", "8", "16", "32", "64", "int4", "int8", "float32"]
    for column in figures["columns"]:
        assert rows["multiplications replaced"][column["name"]] == f"{100 * column['multiplications_replaced']:.1f} %"
        assert float(rows["constants, kB"][column["name"]]) == pytest.approx(column["storage"]["total"] / 1e3, abs=5e-4)
        energy = column["picojoules"]["total"] / 1e6
        assert float(rows["energy, uJ"][column["name"]]) == pytest.approx(energy, abs=5e-4)
    assert figures["picojoules"] == HOROWITZ
    assert list(rows["of codes other than 0"]) == ["own"]
    assert outcome.out.endswith("picojoule by operation from Horowitz, ISSCC 2014, 45 nm\n")


def test_layers_have_a_row_each(files):
    outcome = refengine("cost", "model.h5", "--layers", "own")
    below = outcome.out.split("column own, layer by layer\n")[1].splitlines()
    layers = read_int_network("model.h5").layers
    assert [line.split()[0] for line in below] == ["layer", *(layer.name for layer in layers)]
    assert any("ternary of 2" in line for line in below)


def test_an_energy_table_of_ones_own(files):
    """What --energy-table prints is what is used by default; an edited one changes the energy alone."""
    printed = refengine("cost", "--energy-table").out
    assert printed == DEFAULT
    (files / "same.csv").write_text(printed)
    (files / "free.csv").write_text(re.sub(r"(?m)^(\w+_byte),[^,]*,", r"\1,0,", printed))
    default, same, free = (
        refengine("cost", "model.h5", *options, "--json", "-").json
        for options in ((), ("--energy", "same.csv"), ("--energy", "free.csv"))
    )
    assert same["columns"] == default["columns"]
    assert same["picojoules_from"] == "same.csv"
    for before, after in zip(default["columns"], free["columns"], strict=True):
        assert after["picojoules"]["arithmetic"] == before["picojoules"]["arithmetic"] == after["picojoules"]["total"]
        assert after["macs"] == before["macs"]


def test_the_energy_table_as_json(files):
    outcome = refengine("cost", "--energy-table", "--json", "table.json")
    assert (outcome.code, outcome.out) == (0, DEFAULT)
    assert json.loads((files / "table.json").read_text())["picojoules"] == HOROWITZ
    assert refengine("cost", "--energy-table", "--json", "-").json["picojoules"] == HOROWITZ


@pytest.mark.parametrize(
    "clusters", ["0", "65537", "4,x", "", ",", "1,,2", "4,", "-4", "1.5", "4;8", "99999999999999999999", "\u0664"]
)
def test_clusters_that_are_none(files, clusters):
    line = refusal("cost", "net.h5", "--cluster", clusters)
    assert "needed sizes from 1 to 65536, as 1,2,4,8,16,32,64" in line


def test_a_cluster_size_is_counted_once(files):
    figures = refengine("cost", "net.h5", "--cluster", " 4, 2,4", "--json", "-").json
    assert [column["name"] for column in figures["columns"]][:3] == ["4", "2", "int4"]


def test_unknown_columns_geometries_and_files_are_refused(files):
    assert "--layers names column 'own', columns are 4, int4, int8, float32" in refusal(
        "cost", "net.h5", "--cluster", "4", "--layers", "own"
    )
    assert "geometry 'vgg' is unknown" in refusal("cost", "--geometry", "vgg")
    line = refusal("cost", "images.h5")
    assert "'refengine-images'" in line
    assert "'refengine-float' or 'refengine-int'" in line
    (files / "energy.csv").write_text(DEFAULT.replace("cluster_add,0.053", "cluster_add,-1"))
    assert "energy.csv, line 2: cluster_add takes '-1' picojoule" in refusal("cost", "net.h5", "--energy", "energy.csv")
    assert "cannot be read, there is no such file" in refusal("cost", "net.h5", "--energy", "none.csv")
    assert "cannot be read, it is no file" in refusal("cost", "net.h5", "--energy", ".")
    for option in ("net.h5", "energy.csv"):
        assert "is also read from" in refusal("cost", "net.h5", "--energy", "energy.csv", "--json", option)


@pytest.mark.parametrize("arguments", [["cost"], ["cost", "net.h5", "--geometry", "resnet20"]])
def test_one_network_is_needed(arguments):
    outcome = refengine(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "needed: NETWORK.h5 or --geometry, one of them" in outcome.err


@pytest.mark.parametrize("name", ["model.h5", "net.h5"])
def test_damaged_files_are_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, "cost", name)


@pytest.mark.parametrize("arguments", [["cost", "--help"], ["cost", "model.h5"]], ids=["help", "model"])
def test_no_compiler_is_loaded(files, arguments):
    """Neither to explain nor to count."""
    code = (
        "import sys\n"
        "from refengine.cli.main import verbs\n"
        f"verbs.main({arguments!r}, standalone_mode=False)\n"
        "print('loaded', 'numba' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    outcome = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert "loaded False" in outcome.stdout, outcome.stderr
