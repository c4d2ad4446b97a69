"""The estimate of energy: sums by hand, every row of the table has its effect, and bad tables are refused."""

import csv
import io

import networks
import pytest
from float_networks import every_op
from hypothesis import given

from refengine.accuracy.cost import Counts, cost_of, network_cost
from refengine.accuracy.energy import DEFAULT, HOROWITZ, OPERATIONS, energy, operations, parse_table, read_table
from refengine.accuracy.workload import FLOAT32, in_clusters, in_format, workloads
from refengine.errors import FileError
from refengine.network.geometry import geometry


def test_the_small_network_by_hand():
    """8 ternary MACs in 2 clusters, 2 of code 0, and 4 in 8 bits; 34 bytes of constants, 24 of activations."""
    spent = energy(network_cost(networks.small()).layers, HOROWITZ)
    eight_bit = 4 * 0.2 + 4 * 0.1
    assert spent.arithmetic == pytest.approx(6 * 0.053 + 2 * 0.1 + 2 * 0.4 + eight_bit)
    assert spent.arithmetic_without_zeros == pytest.approx(4 * 0.053 + 2 * 0.1 + 2 * 0.4 + eight_bit)
    assert (spent.constants, spent.activations) == (34 * 162.5, 24 * 12.5)
    assert spent.total == pytest.approx(spent.arithmetic + spent.constants + spent.activations)


@given(networks.int_networks())
def test_a_network_is_the_sum_of_its_layers(network):
    layers = network_cost(network).layers
    alone = [energy([layer], HOROWITZ) for layer in layers]
    together = energy(layers, HOROWITZ)
    for part in ("arithmetic", "constants", "activations", "arithmetic_without_zeros", "total"):
        assert getattr(together, part) == pytest.approx(sum(getattr(one, part) for one in alone))
    assert together.arithmetic_without_zeros <= together.arithmetic


@pytest.mark.parametrize("fmt", ["ternary", "int4", "int8", FLOAT32])
def test_every_multiplication_and_addition_is_paid_once(fmt):
    paid = operations(fmt, Counts(products=100, scalings=7, additions=50))
    multiplications = {name: count for name, count in paid.items() if name.endswith("multiply")}
    assert sum(multiplications.values()) == 100 + (7 if fmt in ("ternary", "int4") else 0)
    assert sum(paid.values()) - sum(multiplications.values()) == 50
    assert set(paid) <= set(OPERATIONS)


USED = {
    "ternary": {"cluster_add", "accumulator_add", "scale_multiply", "int8_multiply"},
    "int4": {"cluster_add", "accumulator_add", "scale_multiply", "int4_multiply", "int8_multiply"},
    "int8": {"accumulator_add", "int8_multiply"},
    FLOAT32: {"float32_add", "float32_multiply"},
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("fmt", USED)
def test_an_edited_row_changes_what_uses_it_and_nothing_else(operation, fmt):
    """By as much as a picojoule more takes for each time it is done; first and last layer are in 8 bits."""
    layers = cost_of(in_format(workloads(every_op()), fmt)).layers
    before, after = (energy(layers, table) for table in (HOROWITZ, {**HOROWITZ, operation: HOROWITZ[operation] + 1}))
    if operation.endswith("byte"):
        moved = sum(layer.bytes_read + layer.bytes_written for layer in layers)
        constants = sum(layer.storage.total for layer in layers)
        times = constants if operation == "constant_byte" else moved
    else:
        times = sum(operations(layer.format, layer.counts).get(operation, 0) for layer in layers)
        assert (times > 0) == (operation in USED[fmt])
    assert after.total - before.total == pytest.approx(times)


def test_ternary_takes_the_least_energy_and_float32_the_most():
    """Ternary takes the least, float32 the most; larger clusters take less."""
    layers = workloads(geometry("resnet20"))
    spent = [energy(cost_of(in_clusters(layers, size)).layers, HOROWITZ).total for size in (64, 16, 4, 1)]
    spent += [energy(cost_of(in_format(layers, fmt)).layers, HOROWITZ).total for fmt in ("int4", "int8", FLOAT32)]
    assert spent == sorted(spent)


def test_the_sum_of_a_cluster_is_priced_between_the_published_additions():
    """Linear in the bits for additions, in the product of the widths for multiplications: 32x32: 3.2, not 3.1."""
    assert HOROWITZ["cluster_add"] == pytest.approx(0.03 + (16 - 8) / (32 - 8) * (0.1 - 0.03), abs=5e-4)
    assert HOROWITZ["scale_multiply"] == pytest.approx(0.2 * (8 * 16) / (8 * 8))
    assert HOROWITZ["int4_multiply"] == pytest.approx(0.2 * (4 * 8) / (8 * 8))


def test_every_row_of_the_default_has_a_source():
    rows = list(csv.DictReader(io.StringIO(DEFAULT)))
    assert [row["operation"] for row in rows] == list(OPERATIONS)
    assert all(len(row["source"]) > 20 for row in rows)


# ------------------------------------------------------------------------------------------------------------ the table


def test_a_table_in_a_file(tmp_path):
    """In any order, with empty lines, spaces, a byte order mark and the line ends of Windows."""
    head, *rows = DEFAULT.splitlines()
    text = "\r\n".join([head, "", *reversed(rows), " , , ", ""]).replace(",0.2,", ", 2e-1 ,")
    path = tmp_path / "energy.csv"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_table(str(path)) == HOROWITZ


@pytest.mark.parametrize("number", ["-1", "1_0", "\u0661", "-0.001", "nan", "inf", "-inf", "many", "", "0.1 pJ", "1,5"])
def test_what_is_no_number_is_refused(number):
    cell = f'"{number}"' if "," in number else number
    with pytest.raises(
        FileError, match=r"table, line 3: accumulator_add takes '.*' picojoule, needed a number not below"
    ):
        parse_table(DEFAULT.replace("accumulator_add,0.1,", f"accumulator_add,{cell},"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "table: starts with '', needed operation,picojoule,source"),
        ("operation,joule,source\n", "starts with 'operation,joule,source'"),
        (
            DEFAULT.replace("int4_multiply", "int3_multiply"),
            "line 5: operation 'int3_multiply' is unknown, known are: ",
        ),
        (DEFAULT + "int4_multiply,1,again\n", "line 11: operation int4_multiply stands in the table twice"),
        (DEFAULT + "int4_multiply;1\n", "line 11: has 1 columns, needed operation, picojoule, source"),
        (DEFAULT + "a,b,c,d\n", "line 11: has 4 columns"),
        (DEFAULT + '"no end', "is no CSV"),
    ],
)
def test_bad_tables_are_refused_in_one_line(text, complaint):
    with pytest.raises(FileError) as error:
        parse_table(text)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_missing_row_is_named(operation):
    rows = [line for line in DEFAULT.splitlines() if not line.startswith(f"{operation},")]
    with pytest.raises(FileError, match=f"table: has no row for {operation}$"):
        parse_table("\n".join(rows))


def test_files_that_are_no_tables(tmp_path):
    files = {
        "missing.csv": (None, "cannot be read, there is no such file"),
        "binary.csv": (b"\x89HDF\r\n\xff\xfe", "is no text in UTF-8"),
        "zeros.csv": (bytes(100), ""),
        "large.csv": (DEFAULT.encode() + b" " * (1 << 16), "has more than 65536 bytes"),
    }
    for name, (content, complaint) in files.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError) as error:
            read_table(str(tmp_path / name))
        assert name in str(error.value)
        assert complaint in str(error.value)
    with pytest.raises(FileError, match="cannot be read, it is no file"):
        read_table(str(tmp_path))
    with pytest.raises(FileError):
        read_table("a\0b")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "energy.csv"
    path.write_text(DEFAULT)
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", refuse)
        with pytest.raises(FileError, match=r"energy.csv: cannot be read \(Permission denied"):
            read_table(str(path))
