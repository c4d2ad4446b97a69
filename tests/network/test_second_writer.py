"""A second implementer writes a network from docs/contract.md (V4) and docs/formats.md alone, and the file is accepted.

Nothing of refengine writes here: h5py stores, hashlib hashes, and the network's integers are literals.
"""

import hashlib
import json

import h5py
import numpy as np
import pytest

from refengine.engine.run import run
from refengine.errors import RefengineError
from refengine.network.int_file import read_int_network


def network():
    """(root attributes, layers): BGR images of 2x3, a ternary convolution, a residual, an average, logits."""
    one = {"rounding": "half_up", "format": "uint8", "activation": "relu", "lo": 0, "hi": 255, "seed": 0, "dynamic": 0}
    stochastic = {
        **one,
        "rounding": "stochastic",
        "format": "int8",
        "activation": "none",
        "lo": -128,
        "hi": 127,
        "seed": 2**63 - 1,
    }
    window = {"kernel_shape": [2, 2], "strides": [1, 1], "pads": [0, 1, 1, 0], "ceil_mode": 1}
    convolution = {
        "weight": (
            np.array(
                [[[[1, -1]], [[0, 1]], [[1, 1]]], [[[-1, 0]], [[1, 1]], [[0, -1]]], [[[1, 1]], [[1, 0]], [[-1, -1]]]]
            ),
            "i1",
        ),
        "scale": (np.array([[3, 5], [7, 0], [127, 1]]), "i1"),
        "bias": (np.array([-9, 40, 0]), "<i4"),
        "weight_exponent": (np.array([-4, -5, -4]), "<i8"),
    }
    layers = [
        (
            "000_input",
            "input",
            [],
            None,
            -1,
            {"flip": 1},
            {"bias": (np.array([0, 5, 9]), "<i4")},
            None,
            (one, {"multiplier": [1], "shift": [8]}),
        ),
        (
            "7_größe",
            "conv",
            ["000_input"],
            "000_input",
            -2,
            {"strides": [1, 1], "pads": [0, 0, 0, 1], "group": 1, "cluster": 2},
            convolution,
            "ternary",
            (stochastic, {"multiplier": [5, 2, 9], "shift": [9], "residual_shift": [10, 10, 10]}),
        ),
        (
            "008_pool",
            "avgpool",
            ["7_größe"],
            None,
            -2,
            window,
            {},
            None,
            (stochastic, {"multiplier": [171], "shift": [9]}),
        ),
        ("999_flat", "flatten", ["008_pool"], None, -2, {}, {}, None, None),
        (
            "1000_fc",
            "fc",
            ["999_flat"],
            None,
            -8,
            {"cluster": 18},
            {
                "weight": (np.arange(-18, 18).reshape(2, 18), "i1"),
                "scale": (np.ones((2, 1)), "i1"),
                "bias": (np.array([1, -1]), "<i4"),
                "weight_exponent": (np.array([-6, -6]), "<i8"),
            },
            "int8",
            None,
        ),
    ]
    return {"contract": 1, "input_shape": [2, 3, 3], "classes": 2, "channels": "BGR"}, layers


def digest(root, layers):
    """Contract V4, byte by byte."""
    content = json.dumps([root["contract"], *root["input_shape"], root["classes"], root["channels"]]).encode()
    for name, op, inputs, residual, exponent, attributes, arrays, weight_format, step in layers:
        told = {key: bool(value) if key in ("flip", "ceil_mode") else value for key, value in attributes.items()}
        order = ("rounding", "format", "activation", "lo", "hi", "seed")
        record = {
            "name": name, "op": op, "inputs": inputs, "residual": residual, "exponent": exponent, "attributes": told,
            "weight_format": weight_format, "accumulator": [32, "error"],
            "requantize": None if step is None else [*(step[0][key] for key in order), step[0]["dynamic"] or False],
        }  # fmt: skip
        content += json.dumps(record, sort_keys=True).encode()
        every = dict(arrays)
        if step is not None:
            every |= {key: (np.array(values), "<i8") for key, values in step[1].items()}
        for key in sorted(every):
            values, kind = every[key]
            stored = values.astype(kind)
            kind = "|i1" if kind == "i1" else kind
            content += f"{key} {kind} {stored.shape}".encode() + stored.tobytes()
    return hashlib.sha256(content).hexdigest()


def write(path, root, layers, stored):
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "refengine-int", "version": 1, "name": "by a second hand", **root, "hash": stored})
        file.create_group("made_with")
        for name, op, inputs, residual, exponent, attributes, arrays, weight_format, step in layers:
            group = file.create_group(f"layers/{name}")
            group.attrs.update({"op": op, "inputs": json.dumps(inputs), "exponent": exponent, "covers": "[]"})
            group.attrs.update({"accumulator_bits": 32, "accumulator_policy": "error", **attributes})
            if residual is not None:
                group.attrs["residual"] = residual
            if weight_format is not None:
                group.attrs["weight_format"] = weight_format
            for key, (values, kind) in arrays.items():
                group[key] = values.astype(kind)
            if step is not None:
                inner = group.create_group("requantize")
                inner.attrs.update(step[0])
                for key, values in step[1].items():
                    inner[key] = np.array(values, "<i8")


def test_the_file_is_accepted_and_runs(tmp_path):
    root, layers = network()
    write(tmp_path / "second.h5", root, layers, digest(root, layers))
    found = read_int_network(tmp_path / "second.h5")
    assert [layer.name for layer in found.layers] == [layer[0] for layer in layers]
    images = np.random.default_rng(1).integers(0, 256, (3, 2, 3, 3), np.uint8)
    assert np.array_equal(run(found, images, "reference"), run(found, images, "kernels"))


@pytest.mark.parametrize("place", range(6))
def test_every_part_of_it_is_hashed(tmp_path, place):
    """A file whose hash is that of another network is refused."""
    root, layers = network()
    other_root, others = network()
    if place == 5:
        other_root["channels"], root["channels"] = "BGR", "BGR"
        other_root["classes"] = 3
    else:
        name, op, inputs, residual, exponent, attributes, arrays, weight_format, step = others[place]
        others[place] = (f"{name}x", op, inputs, residual, exponent, attributes, arrays, weight_format, step)
    write(tmp_path / "second.h5", root, layers, digest(other_root, others))
    with pytest.raises(RefengineError, match="changed after it was written"):
        read_int_network(tmp_path / "second.h5")
