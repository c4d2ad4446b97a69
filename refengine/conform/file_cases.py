"""Model files that must be refused, each for one reason, and such that must be accepted (contract V).

Four small networks (``file_bases.py``) are changed in one place each.  What is refused names the clause of V1's row
that it breaks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .draft import Draft, Group, draft_of, hash_of, members
from .file_bases import (
    DYNAMIC,
    PLAIN,
    POOLS,
    RESIDUAL,
    Change,
    all_of,
    array,
    attribute,
    bases,
    element,
    formatted,
    hashed,
    in_order,
    inputs_are,
    of_one_channel,
    renamed,
    reshaped,
    root,
    step_group,
    stored_as,
    without,
    without_root,
)
from .small_networks import small_networks

_Row = tuple[str, tuple[str, ...], str, Change]


@dataclass(frozen=True, eq=False)
class FileCase:
    """A model file: whether it must be accepted, by which clauses, and what is special about it."""

    base: str
    accept: bool
    clauses: tuple[str, ...]
    why: str
    draft: Draft


def file_cases() -> Iterator[FileCase]:
    """All files, those that must be accepted first."""
    for small in small_networks():
        yield FileCase("small", True, ("V1", "V4", "P2"), small.network.name, draft_of(small.network))
    for base, draft in bases().items():
        yield FileCase(base, True, ("V1", "V4"), f"the network {base}", draft)
    for base, clauses, why, change in _accepted():
        yield FileCase(base, True, clauses, why, bases()[base].changed(change))
    for base, clauses, why, change in _refused():
        yield FileCase(base, False, clauses, why, bases()[base].changed(change))


def _refused() -> Iterator[_Row]:
    yield from _refused_roots()
    yield from _refused_members()
    yield from _refused_structures()
    yield from _refused_constants()
    yield from _refused_attributes()
    yield from _refused_exponents()
    yield from _refused_steps()
    yield from _refused_sums()
    yield from _refused_hashes()


def _refused_roots() -> Iterator[_Row]:
    for value in (0, 2, -1, 2**31):
        yield PLAIN, ("P2",), f"contract {value}", root("contract", value)
    for word in ("rgb", "RGBA", "", "GRAY", "grey", "RGB", "BGR"):
        yield PLAIN, ("Input1",), f"channels {word!r} of one-channel images", root("channels", word)
    for word in ("gray", "BGR "):
        yield RESIDUAL, ("Input1",), f"channels {word!r} of three-channel images", root("channels", word)
    for shape in (
        [0, 4, 1],
        [4, 0, 1],
        [4, 4, 0],
        [65537, 4, 1],
        [4, 65537, 1],
        [4, 4, 3],
        [4, 4],
        [4, 4, 1, 1],
        [-4, 4, 1],
    ):
        yield PLAIN, ("V1", "Input1"), f"input_shape {shape}", root("input_shape", shape)
    for value in (0, -1, 2**20 + 1):
        yield PLAIN, ("V1",), f"classes {value}", root("classes", value)
    for base, value in ((PLAIN, 1), (PLAIN, 3), (RESIDUAL, 12), (POOLS, 7), (DYNAMIC, 27)):
        yield base, ("L2",), f"{value} classes, the last layer gives another number", root("classes", value)
    for word in ("refengine-float", "", "refengine-int2"):
        yield PLAIN, ("V1",), f"format {word!r}", root("format", word)
    for value in (0, 2):
        yield PLAIN, ("V1",), f"version {value}", root("version", value)
    for name in ("format", "version", "contract", "name", "input_shape", "classes", "channels"):
        yield PLAIN, ("V1",), f"no root attribute {name}", without_root(name)
    yield RESIDUAL, ("Input1",), "BGR without flip", root("channels", "BGR")
    yield POOLS, ("Input1",), "RGB with flip", root("channels", "RGB")
    yield PLAIN, ("Input1",), "gray with flip", attribute("000_input", "flip", 1)
    yield POOLS, ("Input1",), "BGR with flip 0", attribute("000_input", "flip", 0)
    yield POOLS, ("Input1",), "flip 2", attribute("000_input", "flip", 2)


def _refused_members() -> Iterator[_Row]:
    """Whatever the layout has, missing; and what it does not have."""
    for key, group in members(bases()[PLAIN]).items():
        for name in sorted({*group.attributes, *group.arrays}):
            yield PLAIN, ("V2",), f"{key} without {name}", without(key, name)
    for base in (RESIDUAL, POOLS):
        for key, layer in bases()[base].layers.items():
            for name in sorted(
                {*layer.attributes, *layer.arrays} - {*bases()[PLAIN].layers["001_conv"].attributes, "residual"}
            ):
                yield base, ("V2",), f"{key} without {name}", without(key, name)
    for key in members(bases()[RESIDUAL]):
        yield RESIDUAL, ("V2",), f"{key} with an attribute of no operator", attribute(key, "dilations", [1, 1])
        yield RESIDUAL, ("V2",), f"{key} with a dataset of no operator", array(key, "zero_point", [0])
    yield PLAIN, ("V2",), "an fc with the strides of a convolution", attribute("002_fc", "strides", [1, 1])
    yield PLAIN, ("V2",), "an input with weights", array("000_input", "weight", np.ones((1, 1), np.int8))
    yield POOLS, ("V2",), "a maxpool with a bias", array("001_maxpool", "bias", np.zeros(3, np.int32))
    yield POOLS, ("V2",), "a batchnorm with a weight format", attribute("004_batchnorm", "weight_format", "int8")
    yield (
        POOLS,
        ("V2",),
        "a concat with weight exponents",
        array("003_concat", "weight_exponent", np.zeros(6, np.int64)),
    )
    for word in ("int2", "INT8", "uint8", "int16", ""):
        yield PLAIN, ("N1",), f"weight format {word!r}", attribute("001_conv", "weight_format", word)


def _refused_structures() -> Iterator[_Row]:
    for name in ("conv", "x_1", "1conv", "0000000001_conv", "_1", "-1_conv", "002_conv", "000_conv"):
        yield PLAIN, ("V2",), f"a layer called {name!r}", renamed({"001_conv": name})
    yield PLAIN, ("V2",), "a layer before the one that it reads", renamed({"001_conv": "003_conv"})
    yield PLAIN, ("V2",), "an input that is not the first", renamed({"000_input": "007_input"})
    for op in ("softmax", "Conv", "", "relu", "conv2d"):
        yield PLAIN, ("V2",), f"operator {op!r}", attribute("001_conv", "op", op)
    for names in ((), ("000_input", "000_input"), ("001_conv",), ("002_fc",), ("input",), ("000_inpu",)):
        yield PLAIN, ("V2",), f"a convolution that reads {list(names)}", inputs_are("001_conv", *names)
    for text in ("000_input", "{}", "[0]", "null", '"000_input"', "[", ""):
        yield PLAIN, ("V1",), f"inputs are the text {text!r}", attribute("001_conv", "inputs", text)
    yield PLAIN, ("V2",), "an input that reads a layer", inputs_are("000_input", "001_conv")
    for reads in ((), ("001_conv",), ("001_conv", "000_input", "000_input")):
        yield RESIDUAL, ("V2",), f"an addition of {len(reads)}", inputs_are("002_add", *reads)
    yield POOLS, ("V2",), "a concat of nothing", inputs_are("003_concat")
    for word in ("001_conv", "002_add", "nothing", ""):
        yield RESIDUAL, ("V2",), f"residual {word!r} of 001_conv", attribute("001_conv", "residual", word)
    second = Group({**bases()[PLAIN].layers["000_input"].attributes}, dict(bases()[PLAIN].layers["000_input"].arrays))
    second.requantize = bases()[PLAIN].layers["000_input"].requantize
    yield PLAIN, ("V2",), "two inputs", all_of(
        renamed({"001_conv": "002_conv", "002_fc": "003_fc"}),
        lambda draft: draft.layers.update({"001_input": second}), in_order,
    )  # fmt: skip
    yield PLAIN, ("V2",), "no layers", lambda draft: draft.layers.clear()
    yield PLAIN, ("V2",), "no input", lambda draft: draft.layers.pop("000_input")
    for base, key in ((PLAIN, "001_conv"), (PLAIN, "000_input"), (RESIDUAL, "002_add"), (POOLS, "006_pool")):
        yield base, ("Q1", "L1"), f"{key} accumulates and is not requantized", step_group(key, None)
    step = Group(
        {"rounding": "half_up", "format": "uint8", "activation": "none", "lo": 0, "hi": 255, "seed": 0, "dynamic": 0},
        {"multiplier": np.array([1]), "shift": np.array([0])},
    )
    for base, key in ((RESIDUAL, "003_flatten"), (POOLS, "001_maxpool"), (POOLS, "003_concat"), (POOLS, "005_pad")):
        yield base, ("L1",), f"{key} passes codes and is requantized", step_group(key, step)
    yield POOLS, ("L1",), "a maxpool with a residual", attribute("001_maxpool", "residual", "000_input")
    yield POOLS, ("Concat1",), "a concat of two formats", formatted("002_avgpool", "int8", -128, 127)
    yield POOLS, ("Q3",), "int32 codes before the last layer", formatted("004_batchnorm", "int32", -(2**31), 2**31 - 1)
    yield PLAIN, ("Q3",), "int32 codes of the input", formatted("000_input", "int32", -(2**31), 2**31 - 1)


def _refused_constants() -> Iterator[_Row]:
    codes = ((RESIDUAL, "001_conv", (2, -2, 127)), (PLAIN, "001_conv", (8, -8, 127, -128)), (PLAIN, "002_fc", (-128,)))
    for base, key, values in codes:
        for value in values:
            fmt = bases()[base].layers[key].attributes["weight_format"]
            yield base, ("N1",), f"{key}: {fmt} code {value}", element(key, "weight", value)
    yield PLAIN, ("N1",), "an int8 code 128, stored in 16 bits", element("002_fc", "weight", 128, "<i2")
    for value, dtype in ((-1, None), (-128, None), (128, "<i2"), (300, "<i8")):
        yield RESIDUAL, ("N1",), f"scale {value}", element("001_conv", "scale", value, dtype)
    for value in (2**31, -(2**31) - 1, 2**40):
        yield PLAIN, ("N1",), f"bias {value}", element("001_conv", "bias", value, "<i8")
    for value in (2, -2, 127):
        yield POOLS, ("Batchnorm1",), f"sign {value}", element("004_batchnorm", "sign", value)
    for name in ("weight", "scale", "bias"):
        yield PLAIN, ("V1",), f"{name} of floats", stored_as("001_conv", name, "<f4")
    for columns in (1, 3):
        yield (
            RESIDUAL,
            ("C1",),
            f"{columns} columns of scales, 2 clusters",
            array("001_conv", "scale", np.ones((3, columns), np.int8)),
        )
    yield RESIDUAL, ("C1",), "clusters of 1 with the scales of clusters of 2", attribute("001_conv", "cluster", 1)
    yield (
        RESIDUAL,
        ("C1",),
        "scales of two channels, three outputs",
        array("001_conv", "scale", np.ones((2, 2), np.int8)),
    )
    for base, key, name, shape in (
        (PLAIN, "001_conv", "bias", (2,)), (PLAIN, "001_conv", "bias", (4,)), (PLAIN, "001_conv", "bias", (3, 1)),
        (PLAIN, "002_fc", "bias", (1,)), (PLAIN, "000_input", "bias", (3,)), (POOLS, "000_input", "bias", (1,)),
        (POOLS, "004_batchnorm", "bias", (5,)), (POOLS, "004_batchnorm", "sign", (7,)),
        (PLAIN, "001_conv", "bias", (0,)),
        (PLAIN, "001_conv", "weight", (3, 2, 3, 3)), (PLAIN, "001_conv", "weight", (3, 1, 9)),
        (PLAIN, "002_fc", "weight", (2, 47)), (PLAIN, "002_fc", "weight", (2, 49)),
        (PLAIN, "002_fc", "weight", (2, 3, 16)),
        (PLAIN, "001_conv", "weight", (3, 1, 0, 3)), (PLAIN, "001_conv", "weight_exponent", (2,)),
        (PLAIN, "001_conv", "weight_exponent", (1,)), (PLAIN, "001_conv", "weight_exponent", (3, 1)),
    ):  # fmt: skip
        clause = {"fc": "Fc1", "conv": "Conv1", "input": "Input1", "batchnorm": "Batchnorm1"}[key[4:]]
        yield base, (clause,), f"{key}: {name} of shape {shape}", reshaped(key, name, shape)
    yield RESIDUAL, ("Q1",), "a residual of another shape", attribute("001_conv", "strides", [2, 2])
    yield POOLS, ("Concat1",), "a concat of images of two sizes", attribute("001_maxpool", "strides", [2, 2])
    yield RESIDUAL, ("Add1",), "an addition of two shapes", all_of(
        inputs_are("002_add", "001_conv", "003_flatten"), renamed({"002_add": "005_add", "004_fc": "006_fc"}),
        inputs_are("003_flatten", "001_conv"), attribute("003_flatten", "exponent", -1),
        attribute("005_add", "shifts", [0, 0]), in_order,
    )  # fmt: skip
    for group in (2, 3):
        yield PLAIN, ("C2", "Conv1"), f"{group} groups of one channel", attribute("001_conv", "group", group)
    yield RESIDUAL, ("Maxpool1",), "pooling a row of codes", all_of(
        lambda draft: draft.layers["004_fc"].attributes.update(op="global_avgpool"),
        lambda draft: draft.layers["004_fc"].arrays.clear(),
        without("004_fc", "cluster"), without("004_fc", "weight_format"),
    )  # fmt: skip


def _refused_attributes() -> Iterator[_Row]:
    for values in ([0, 1], [1, 0], [-1, 1], [65537, 1], [1], [1, 1, 1]):
        yield PLAIN, ("W1",), f"strides {values}", attribute("001_conv", "strides", values)
    for values in ([-1, 0, 0, 0], [0, 0, 0, -1], [65537, 0, 0, 0], [0, 0], [0] * 5):
        yield PLAIN, ("W1",), f"pads {values}", attribute("001_conv", "pads", values)
    for name, value in (
        ("group", 0),
        ("group", -1),
        ("group", 65537),
        ("cluster", 0),
        ("cluster", -1),
        ("cluster", 65537),
    ):
        yield PLAIN, ("W1", "C1"), f"{name} {value}", attribute("001_conv", name, value)
    yield PLAIN, ("C1",), "cluster 0 of an fc", attribute("002_fc", "cluster", 0)
    for values in ([0, 2], [2, 0], [65537, 2], [2], [-2, 2]):
        yield POOLS, ("W1",), f"kernel_shape {values}", attribute("001_maxpool", "kernel_shape", values)
    for name, value in (("before", -1), ("after", -1), ("before", 65537)):
        yield POOLS, ("Pad_channels1",), f"{name} {value}", attribute("005_pad", name, value)
    for value in (2, -1):
        yield POOLS, ("W2",), f"ceil_mode {value}", attribute("001_maxpool", "ceil_mode", value)
    yield POOLS, ("W1",), "a window larger than the padded image", attribute("001_maxpool", "kernel_shape", [5, 2])
    yield PLAIN, ("W1",), "a convolution larger than the image", attribute("001_conv", "pads", [0, 0, 0, -2])
    for key in ("001_maxpool", "002_avgpool"):
        for pads in ([2, 0, 0, 1], [1, 2, 0, 1], [1, 0, 2, 1], [1, 0, 0, 2], [9, 0, 0, 0]):
            yield POOLS, ("W3",), f"{key}: pads {pads} of a kernel of 2x2", attribute(key, "pads", pads)
    wide = {"kernel_shape": [23, 1], "strides": [1, 1], "pads": [22, 0, 22, 0]}
    yield POOLS, ("Avgpool1",), "counts of 1 to 23, whose multiple exceeds 2**23", all_of(
        root("input_shape", [23, 1, 3]), *(attribute("002_avgpool", name, value) for name, value in wide.items()),
        *(attribute("001_maxpool", name, value) for name, value in wide.items()),
    )  # fmt: skip
    for shifts in ([1, 1], [0, 0], [0, 2], [1, 0], [-1, 0], [0, 65], [0], [0, 1, 0]):
        yield RESIDUAL, ("Add1",), f"shifts {shifts} of exponents -1 and 0", attribute("002_add", "shifts", shifts)


def _refused_exponents() -> Iterator[_Row]:
    for base, key in ((PLAIN, "001_conv"), (PLAIN, "002_fc"), (POOLS, "007_out")):
        for value in (4097, -4097, 2**40):
            yield base, ("N3",), f"{key}: exponent {value}", attribute(key, "exponent", value)
    for value in (4097, -4097):
        yield PLAIN, ("N3",), f"weight exponent {value}", element("001_conv", "weight_exponent", value)
    yield PLAIN, ("L2",), "classes of two weight exponents", element("002_fc", "weight_exponent", 1)
    for base, key in ((RESIDUAL, "003_flatten"), (POOLS, "001_maxpool"), (POOLS, "003_concat"), (POOLS, "005_pad")):
        for value in (1, -1):
            yield (
                base,
                ("N3", "Concat1"),
                f"{key} passes codes under the exponent {value}",
                attribute(key, "exponent", value),
            )
    yield POOLS, ("Concat1", "N3"), "a concat of two exponents", attribute("002_avgpool", "exponent", 1)


def _refused_steps() -> Iterator[_Row]:
    conv, plain = "001_conv/requantize", "001_conv/requantize"
    for name, values in (
        ("multiplier", (-1, 2**31, -(2**40))),
        ("shift", (-1, 63, 64)),
        ("residual_shift", (-1, 54, 5, 7)),
    ):
        for value in values:
            clauses = ("Q5",) if name == "residual_shift" else ("Q1",)
            yield RESIDUAL, clauses, f"{name} {value}", element(conv, name, value)
    for name, count in ((name, count) for name in ("multiplier", "shift", "residual_shift") for count in (2, 4, 0)):
        value = {"multiplier": 3, "shift": 5, "residual_shift": 6}[name]
        yield RESIDUAL, ("Q1",), f"{count} entries of {name}", array(conv, name, np.full(count, value))
    yield RESIDUAL, ("Q5",), "one channel's residual is shifted by one more", array(conv, "residual_shift", [6, 6, 7])
    yield RESIDUAL, ("Q5",), "shifts by channel under one residual shift", array(conv, "shift", [5, 5, 4])
    yield RESIDUAL, ("Q5",), "a residual without residual_shift", without(conv, "residual_shift")
    yield RESIDUAL, ("Q5",), "a residual_shift without residual", without("001_conv", "residual")
    yield PLAIN, ("Q5",), "a residual_shift without residual", array(plain, "residual_shift", [6])
    for word in ("half", "HALF_UP", "nearest", "", "two_steps", "half_odd", "round"):
        yield PLAIN, ("R2", "R4", "R5"), f"rounding {word!r}", attribute(plain, "rounding", word)
    yield RESIDUAL, ("R5",), "seed -1", attribute(conv, "seed", -1)
    yield RESIDUAL, ("R5",), "seed 2**63", attribute(conv, "seed", np.asarray(2**63, "<u8"))
    for word in ("int16", "uint4", "INT8", "ternary", ""):
        yield PLAIN, ("N1", "Q3"), f"codes of format {word!r}", attribute(plain, "format", word)
    for word in ("relu6", "", "ReLU", "sigmoid"):
        yield PLAIN, ("Q3",), f"activation {word!r}", attribute(plain, "activation", word)
    clips = [
        ("int8", "none", lo, hi) for lo, hi in ((-127, 127), (-128, 126), (0, 127), (-129, 127), (-128, 128), (5, -5))
    ]
    clips += [("int8", "relu", lo, hi) for lo, hi in ((-1, 127), (1, 127), (0, 100), (0, 128), (-128, 127))]
    clips += [("uint8", "relu", lo, hi) for lo, hi in ((1, 255), (0, 254), (0, 256), (-1, 255))]
    clips += [("uint8", "none", lo, hi) for lo, hi in ((0, 100), (1, 255))]
    clips += [("uint8", "clip", lo, hi) for lo, hi in ((3, 9), (0, 256), (-9, -3), (0, -1), (-1, 9))]
    clips += [("int8", "clip", lo, hi) for lo, hi in ((0, 128), (-9, 9), (-128, 9), (1, 1))]
    for fmt, activation, lo, hi in clips:
        words = {"format": fmt, "activation": activation, "lo": lo, "hi": hi}
        change = all_of(*(attribute(plain, name, value) for name, value in words.items()))
        yield PLAIN, ("Q3",), f"{fmt} {activation} with the clip {lo}..{hi}", change
    for value in (8, -1, 65):
        yield DYNAMIC, ("D1",), f"dynamic {value}", attribute(conv, "dynamic", value)
    ends = {"activation": "clip", "lo": 0, "hi": 100}
    yield DYNAMIC, ("D1",), "a ReLU6 of dynamic exponents", all_of(*(attribute(conv, n, v) for n, v in ends.items()))
    for shift in (60, 61, 62):
        yield DYNAMIC, ("D1",), f"shift {shift} and dynamic 3", array(conv, "shift", [shift])
    yield POOLS, ("D5",), "a concat of dynamic codes", attribute("002_avgpool/requantize", "dynamic", 2)
    yield POOLS, ("D5",), "dynamic logits", attribute("007_out/requantize", "dynamic", 2)
    yield PLAIN, ("D5",), "dynamic codes passed on as logits", all_of(
        attribute(plain, "dynamic", 1), root("classes", 48), lambda draft: draft.layers.pop("002_fc"),
    )  # fmt: skip


def _refused_sums() -> Iterator[_Row]:
    for value in (2**31 - 1, -(2**31), 2**31 - 1000):
        yield PLAIN, ("A1", "A2"), f"a bias of {value} and the weights leave INT32", element("001_conv", "bias", value)
    yield PLAIN, ("A1", "A6"), "a bias of the input leaves INT32", element("000_input", "bias", 2**31 - 1)
    yield (
        POOLS,
        ("A1", "A6"),
        "a bias of a batchnorm leaves INT32",
        array("004_batchnorm", "bias", np.array([2**31 - 1, 0, 0, 0, 0, 0], np.int32)),
    )
    far = all_of(attribute("001_conv", "exponent", -24), array("001_conv/requantize", "residual_shift", [29]))
    yield RESIDUAL, ("Add1",), "an addition that is aligned by 24", all_of(far, attribute("002_add", "shifts", [0, 24]))
    for bits in (15, 33, 0, -16, 64):
        yield PLAIN, ("A3",), f"an accumulator of {bits} bits", attribute("001_conv", "accumulator_bits", bits)
    for policy in ("clip", "", "ERROR", "wrapping"):
        yield PLAIN, ("A3", "A4"), f"policy {policy!r}", attribute("001_conv", "accumulator_policy", policy)
    for bits in (16, 17, 18):
        yield (
            PLAIN,
            ("A3", "A2"),
            f"error, {bits} bits, sums need more",
            all_of(attribute("001_conv", "accumulator_bits", bits), element("001_conv", "bias", 2 ** (bits - 1))),
        )
    for policy in ("wrap", "saturate"):
        narrow = all_of(
            attribute("001_conv", "accumulator_bits", 16), attribute("001_conv", "accumulator_policy", policy)
        )
        yield (
            PLAIN,
            ("A5",),
            f"{policy} hides no sum that leaves INT32",
            all_of(narrow, element("001_conv", "bias", 2**31 - 1)),
        )
        over = all_of(narrow, array("001_conv/requantize", "multiplier", [2**31 - 1]))
        step = all_of(over, element("001_conv", "bias", 2**31 - 9000), element("001_conv", "bias", 2**31 - 9000))
        yield PLAIN, ("A5", "Q1"), f"{policy} makes no bound of the total smaller", all_of(
            step, attribute("001_conv", "residual", "000_input"), of_one_channel,
            array("001_conv/requantize", "shift", [50]), array("001_conv/requantize", "residual_shift", [53]),
            attribute("001_conv", "exponent", -3),
        )  # fmt: skip
    total = all_of(
        array("001_conv/requantize", "multiplier", [2**31 - 1]), array("001_conv", "bias", np.full(3, 2**30, np.int32)),
        array("001_conv/requantize", "shift", [53]), array("001_conv/requantize", "residual_shift", [53]),
        attribute("001_conv", "exponent", 0), attribute("002_add", "shifts", [0, 0]),
    )  # fmt: skip
    for channels in (1, 3):
        bias = np.full(3, 2**31 - 20000, np.int32)
        bias[channels:] = 0
        why = f"a total that can exceed 2**62 in {channels} of 3 channels"
        yield RESIDUAL, ("Q1",), why, all_of(total, array("001_conv", "bias", bias))


def _refused_hashes() -> Iterator[_Row]:
    for base in (PLAIN, RESIDUAL, POOLS, DYNAMIC):
        right = hash_of(bases()[base])
        for text, why in (
            ("", "empty"), ("0" * 64, "zeros"), (right.upper(), "in capitals"), (right[:-1], "one digit short"),
            (f"{right} ", "with a blank"), (right[:-1] + ("0" if right[-1] != "0" else "1"), "one digit another"),
        ):  # fmt: skip
            yield base, ("V4", "P2"), f"the hash is {why}", hashed(text)
    old = hash_of(bases()[RESIDUAL])
    changes = {
        "a weight": element("001_conv", "weight", 0), "a scale": element("001_conv", "scale", 9),
        "a bias": element("001_conv", "bias", 9), "a multiplier": element("001_conv/requantize", "multiplier", 4),
        "a seed": attribute("001_conv/requantize", "seed", 8),
        "an accumulator": attribute("001_conv", "accumulator_bits", 31),
        "a policy": attribute("001_conv", "accumulator_policy", "wrap"), "a name": renamed({"004_fc": "004_fd"}),
        "a rounding": attribute("001_conv/requantize", "rounding", "half_up"), "channels": all_of(
            root("channels", "BGR"), attribute("000_input", "flip", 1)),
        "an exponent": attribute("004_fc", "exponent", 1),
        "a weight format": attribute("001_conv", "weight_format", "int4"),
        "a weight exponent": array("004_fc", "weight_exponent", np.ones(2, np.int64)),
    }  # fmt: skip
    for what, change in changes.items():
        stale = all_of(change, hashed(old))
        yield RESIDUAL, ("V4", "P2"), f"{what} changed under the old hash", stale


def _accepted() -> Iterator[_Row]:
    """What a reader that is too strict would refuse."""
    conv = "001_conv/requantize"
    yield PLAIN, ("V1",), "made by anybody, under any name", root("name", "größe \N{SNOWMAN}")
    yield PLAIN, ("V2",), "999_a comes before 1000_b", renamed({"001_conv": "999_a", "002_fc": "1000_b"})
    yield PLAIN, ("V2",), "names of numbers alone", renamed({"001_conv": "1", "002_fc": "02"})
    for name, kinds in (
        ("weight", ("<i2", ">i4", "<i8")),
        ("bias", (">i4", "<i8", "<i2")),
        ("weight_exponent", ("i1", ">i8")),
    ):
        for kind in kinds:
            yield (
                PLAIN,
                ("V1",),
                f"{name} stored as {kind}",
                stored_as("001_conv", name, kind),
            )
    for value in (0, 2**31 - 1):
        yield PLAIN, ("Q1",), f"multiplier {value}", array(conv, "multiplier", [value])
    for value in (0, 62):
        yield PLAIN, ("Q1",), f"shift {value}", array(conv, "shift", [value])
    yield (
        PLAIN,
        ("Q1",),
        "multipliers and shifts by channel",
        all_of(array(conv, "multiplier", [1, 2, 3]), array(conv, "shift", [4, 5, 6])),
    )
    yield RESIDUAL, ("Q5",), "a residual shift by channel under one shift", array(conv, "residual_shift", [6, 6, 6])
    for value in (0, 2**63 - 1):
        yield RESIDUAL, ("R5",), f"seed {value}", attribute(conv, "seed", value)
    for value in (4096, -4096):
        yield PLAIN, ("N3", "L4"), f"exponent {value} of the logits", attribute("002_fc", "exponent", value)
    yield (
        PLAIN,
        ("N3",),
        "weight exponents by channel",
        array("001_conv", "weight_exponent", np.array([-4096, 0, 4096])),
    )
    yield PLAIN, ("W1", "C1"), "a cluster of 65536", attribute("001_conv", "cluster", 65536)
    yield PLAIN, ("C4", "V3"), "int8 weights of scale 2", array("002_fc", "scale", np.full((2, 1), 2, np.int8))
    yield (
        PLAIN,
        ("C4", "V3"),
        "int8 weights in two clusters",
        all_of(attribute("002_fc", "cluster", 24), array("002_fc", "scale", np.array([[1, 0], [127, 3]], np.int8))),
    )
    yield (
        PLAIN,
        ("Input3", "V3"),
        "uint8 of pixels with a negative bias",
        array("000_input", "bias", np.array([-9], np.int32)),
    )
    yield PLAIN, ("A3",), "an accumulator of 16 bits that is enough", attribute("001_conv", "accumulator_bits", 16)
    for policy in ("wrap", "saturate"):
        yield PLAIN, ("A3", "A4"), f"an accumulator of 16 bits that is not, {policy}", all_of(
            attribute("001_conv", "accumulator_bits", 16), attribute("001_conv", "accumulator_policy", policy),
            element("001_conv", "bias", 40000),
        )  # fmt: skip
    yield (
        PLAIN,
        ("Q3",),
        "a clip to 0 alone",
        all_of(*(attribute(conv, name, value) for name, value in (("activation", "clip"), ("lo", 0), ("hi", 0)))),
    )
    yield (
        POOLS,
        ("Q3", "L1"),
        "codes of INT32 as logits",
        all_of(
            formatted("007_out", "int32", -(2**31), 2**31 - 1), attribute("007_out/requantize", "activation", "none")
        ),
    )
    yield DYNAMIC, ("D1",), "dynamic 7", attribute(conv, "dynamic", 7)
    yield DYNAMIC, ("D1",), "shift 59 and dynamic 3", array(conv, "shift", [59])
    yield PLAIN, ("A1",), "a sum that is just an int32", element("001_conv", "bias", 2**31 - 1 - _reach())
    yield PLAIN, ("N1",), "the ends of int8 codes", element("002_fc", "weight", -127)


def _reach() -> int:
    """What the last channel's weights of ``plain`` can add to its bias."""
    arrays = bases()[PLAIN].layers["001_conv"].arrays
    positive = np.maximum(arrays["weight"][-1].astype(np.int64), 0).sum() * int(arrays["scale"][-1, 0])
    return int(positive) * 255
