"""The header: what a caller reads there is true of the network, and it is legal in C++ too."""

import re
import shutil
import subprocess

import pytest
from networks import dynamic, every_op

from refengine.interop.c.model import to_c
from refengine.network.units import result_divisor

NETWORK = every_op()


def test_the_numbers_are_those_of_the_network():
    text = to_c(NETWORK, "net").header
    macros = dict(re.findall(r"^#define NET_(\w+) (\S+)", text, re.MULTILINE))
    height, width, channels = NETWORK.input_shape
    wanted = {
        "MODEL_HASH": f'"{NETWORK.hash}"',
        "CONTRACT": str(NETWORK.contract),
        "HEIGHT": str(height),
        "WIDTH": str(width),
        "CHANNELS": str(channels),
        "CLASSES": str(NETWORK.classes),
        "LOGITS_EXPONENT": str(NETWORK.layers[-1].exponent),
        "LOGITS_DIVISOR": str(result_divisor(NETWORK, NETWORK.layers[-1])),
        "LAYERS": str(len(NETWORK.layers)),
    }
    assert macros | wanted == macros


@pytest.mark.parametrize("network", [NETWORK, dynamic()])
def test_the_table_of_layers_says_what_each_layer_has(network):
    made = to_c(network, "net")
    rows = re.findall(r'^    \{"(\S+)", "(\w+)", (.*)\},$', made.source, re.MULTILINE)
    assert [row[:2] for row in rows] == [(layer.name, layer.op) for layer in network.layers]
    for layer, (_, _, numbers) in zip(network.layers, rows, strict=True):
        *_, totals, exponent, codes = map(int, numbers.split(", "))
        assert totals == (layer.requantize is not None)
        assert exponent == (network.dynamic[layer.name] > 0)
        assert codes == (layer is not network.layers[-1] or layer.requantize is not None)


@pytest.mark.skipif(shutil.which("g++") is None, reason="not installed: g++")
def test_a_program_in_cpp_can_include_it(tmp_path):
    (tmp_path / "net.h").write_text(to_c(NETWORK, "net").header)
    caller = '#include "net.h"\nint logits(const uint8_t *x, int32_t *y) { return net_run(x, y, 0); }\n'
    (tmp_path / "use.cpp").write_text(caller)
    command = ["g++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c", "use.cpp"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
