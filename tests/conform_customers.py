"""Implementations that take the conformance suite: each computes cases and gives results by name, as files have them.

An implementation is a function from case to ``{result: integers}``, and None where it does not compute such cases.
``judged`` writes what they gave as an implementation would, and has it verified.
"""

from fractions import Fraction
from functools import cache

import c_models
import numpy as np
import oracle

from refengine.conform.alone import around
from refengine.conform.answers import operands_of, read
from refengine.conform.clauses import counts
from refengine.conform.folder import Judged, Model, Place, Suite
from refengine.conform.suite import answer_of, cases, is_layer, named
from refengine.conform.verify import verify
from refengine.engine.run import run
from refengine.numbers.formats import ACTIVATION_FORMATS, WEIGHT_FORMATS
from refengine.ops import OPS


@cache
def every_case():
    """Name -> case, of level 1."""
    return dict(named(cases(1)))


def some(step, *groups):
    """Every ``step``-th case of all groups, or of those named."""
    chosen = [(name, case) for name, case in every_case().items() if not groups or case.group in groups]
    return dict(chosen[::step])


def suite_of(chosen, models=()):
    """The suite of some cases, as ``read_suite`` gives it."""
    groups, expected = {}, {}
    for name, case in chosen.items():
        content = expected.setdefault(case.group, bytearray())
        places = {}
        for result, array in answer_of(case).items():
            places[result] = Place(array.dtype.name, array.shape, len(content))
            content += array.tobytes()
        groups.setdefault(case.group, []).append(Judged(name, case.clauses, case.why, places))
    told = tuple(Model(f"models/{n}.h5", model.accept, model.clauses, model.why) for n, model in enumerate(models))
    return Suite(1, {group: tuple(members) for group, members in groups.items()}, expected, told)


def judged(results, folder, chosen):
    """The verdict on results ``{case: {result: array}}``, written to ``folder`` as .npz; what is missing is skipped."""
    suite, skipped = suite_of(chosen), []
    for group in {case.group for case in chosen.values()}:
        arrays = {f"{name}.{result}": array for name in results for result, array in results[name].items()}
        np.savez(folder / f"{group}.npz", **{key: one for key, one in arrays.items() if key.startswith(f"{group}-")})
    for case in (case for members in suite.groups.values() for case in members):
        skipped += [f"{case.name}.{result}" for result in case.results if result not in results.get(case.name, {})]
    (folder / "skipped.txt").write_text("\n".join(skipped))
    return verify(suite, folder)


# -------------------------------------------------------------------------------------------------------------- oracle


def by_oracle(case):
    """Plain Python integers, from the contract."""
    return ORACLES["layer" if is_layer(case.group) else case.group](case)


def random_bits(seed, layer, image, element):
    """R5 with each draw reached at once: SplitMix64's state is a multiple of a constant."""
    word = seed
    for index in (0, layer, image, element):
        word = oracle.splitmix64(word + index * oracle.GOLDEN, 1)[0]
    return word


def _round_shift(case):
    words, t = case.parameters, case.inputs["t"].tolist()
    bits = case.inputs["bits"].tolist() if "bits" in case.inputs else [None] * len(t)
    rounded = [oracle.round_shift(v, words["shift"], words["rounding"], b) for v, b in zip(t, bits, strict=True)]
    return {"rounded": np.array(rounded, np.int64)}


def _random_bits(case):
    words, shape = case.parameters, tuple(case.parameters["shape"])
    each = int(np.prod(shape[1:]))
    drawn = [
        random_bits(words["seed"], words["layer"], words["first_image"] + n, element)
        for n in range(shape[0])
        for element in range(each)
    ]
    return {"bits": np.array(drawn, np.uint64).reshape(shape)}


def ended(case, acc, residual=None):
    """What Q and D make of accumulators (N, ..., C)."""
    words = case.parameters["requantize"]
    channels, shape = acc.shape[-1], acc.shape
    per = {
        name: [*np.broadcast_to(case.inputs.get(name, np.zeros(1, np.int64)), channels).tolist()]
        for name in ("multiplier", "shift", "residual_shift")
    }
    each = int(np.prod(shape[1:]))
    totals, codes, d, below, above = [], [], [], 0, 0
    flat = acc.reshape(len(acc), -1).tolist()
    added = [[0] * each] * len(acc) if residual is None else residual.reshape(len(acc), -1).tolist()
    for n, image in enumerate(flat):
        total = [
            value * per["multiplier"][k % channels] + added[n][k] * 2 ** per["residual_shift"][k % channels]
            for k, value in enumerate(image)
        ]
        shifts = [per["shift"][k % channels] for k in range(each)]
        more = oracle.coarser(total, shifts, words["lo"], words["hi"], words["dynamic"]) if words["dynamic"] else 0
        d.append(more)
        for k, value in enumerate(total):
            bits = None
            if words["rounding"] == "stochastic":
                place = case.parameters["layer"], case.parameters["first_image"] + n, k
                bits = random_bits(words["seed"], *place)
            rounded = oracle.round_shift(value, shifts[k] + more, words["rounding"], bits)
            codes.append(min(max(rounded, words["lo"]), words["hi"]))
            below += rounded < words["lo"] and words["activation"] == "none"
            above += rounded > words["hi"] and words["activation"] != "clip"
        totals += total
    fmt = {**ACTIVATION_FORMATS}.get(words["format"])
    found = {
        "total": np.array(totals, np.int64).reshape(shape),
        "code": np.array(codes, np.int32 if fmt is None else fmt.dtype).reshape(shape),
        "saturated": np.array([below, above], np.int64),
    }
    return {**found, "d": np.array(d, np.int64)} if words["dynamic"] else found


def _confine(case):
    bits, policy = case.parameters["accumulator"]
    sums = case.inputs["sum"].tolist()
    kept = [oracle.confine(value, bits, policy) for value in sums]
    events = sum(one != other for one, other in zip(sums, kept, strict=True))
    return {"accumulator": np.array(kept, np.int32), "overflowed": np.array([events], np.int64)}


def _window(case):
    names = ("size", "kernel", "stride", "before", "after")
    rows = zip(*(case.inputs[name].tolist() for name in names), strict=True)
    return {"output": np.array([oracle.output_size(*row, case.parameters["ceil_mode"]) for row in rows], np.int64)}


def _bound(case):
    words, op = case.parameters, case.parameters["op"]
    codes, arrays = [(min(lo, 0), max(hi, 0)) for lo, hi in words["ranges"]], case.inputs
    if "weight" in arrays:
        weight = arrays["weight"].reshape(*arrays["weight"].shape, *[1] * (4 - arrays["weight"].ndim))
        plain = {"scale": arrays["scale"], "bias": arrays["bias"], "cluster": words["attributes"]["cluster"]}
        ends = oracle.conv_bound(codes[0], weight=weight, **plain)
    elif op in ("input", "batchnorm"):
        signs = arrays.get("sign", np.ones(len(arrays["bias"]))).tolist()
        reach = [sorted((int(sign) * codes[0][0] * 256, int(sign) * codes[0][1] * 256)) for sign in signs]
        biases = arrays["bias"].tolist()
        ends = [(lo + min(b, 0), hi + max(b, 0)) for (lo, hi), b in zip(reach, biases, strict=True)]
    elif op == "mul":
        products = [a * b for a in codes[0] for b in codes[1]]
        ends = [(min(0, *products), max(0, *products))]
    else:
        shifts = words["attributes"].get("shifts", [0])
        times = {"avgpool": 4, "global_avgpool": words["shape"][0] * words["shape"][1]}.get(op, 1)
        pairs = [*zip(codes, shifts, strict=True)]
        ends = [tuple(times * sum(one[end] * 2**shift for one, shift in pairs) for end in (0, 1))]
    lo, hi = np.array(ends, np.int64).T
    return {"lo": lo, "hi": hi}


def _values(case):
    rows = zip(case.inputs["code"].tolist(), case.inputs["d"].tolist(), strict=True)
    return {"value": np.array([[code * 2**d for code in row] for row, d in rows], np.int16)}


def _top(case):
    ranked = [sorted(range(len(row)), key=lambda k: (-row[k], k)) for row in case.inputs["logits"].tolist()]
    return {"classes": np.array(ranked, np.int64)}


def _fractions(case):
    pairs = zip(case.inputs["numerator"].tolist(), case.inputs["denominator"].tolist(), strict=True)
    return [Fraction(n, d) for n, d in pairs]


def _nearest(case):
    return {"nearest": np.array([oracle.ROUNDINGS["half_away"](one) for one in _fractions(case)], np.int64)}


def _nearest_codes(case):
    fmt, denominator = WEIGHT_FORMATS[case.parameters["format"]], case.parameters["denominator"]
    reals = [Fraction(one, denominator) for one in case.inputs["real"].tolist()]
    return {"code": np.array([min(max(round(real), fmt.lo), fmt.hi) for real in reals], np.int8)}


def _rescale(case):
    pairs = [oracle.multiplier_and_shift(one, case.parameters["bits"]) for one in _fractions(case)]
    return {"multiplier": np.array([m for m, _ in pairs], np.int64), "shift": np.array([s for _, s in pairs], np.int64)}


def _exponent(case):
    top = case.parameters["top"]
    found = [min(e for e in range(-80, 80) if one <= top * Fraction(2) ** e) for one in _fractions(case)]
    return {"exponent": np.array(found, np.int64)}


def _width(case):
    ends = zip(case.inputs["lo"].tolist(), case.inputs["hi"].tolist(), strict=True)
    return {"bits": np.array([oracle.signed_bits(lo, hi) for lo, hi in ends], np.int64)}


def _arith(case):
    """Another design's rule on exact totals; a float32 product by NumPy's own float32."""
    words, rule = case.parameters["requantize"], case.parameters["arithmetic"]
    acc, channels = case.inputs["accumulator"], case.inputs["accumulator"].shape[-1]
    per = {
        name: np.broadcast_to(case.inputs.get(name, np.zeros(1, np.int64)), channels).tolist()
        for name in ("multiplier", "shift", "residual_shift")
    }
    residual = case.inputs.get("residual", np.zeros_like(acc)).reshape(-1).tolist()
    codes = []
    for k, value in enumerate(acc.reshape(-1).tolist()):
        m, s, left = (per[name][k % channels] for name in ("multiplier", "shift", "residual_shift"))
        product = value * m
        if rule["product"] == "float32":
            product = int(np.float32(np.float32(value) * np.float32(m)))
        total = product + residual[k] * 2**left
        if rule["rounding"] == "two_steps":
            first = min(s, m.bit_length())
            rounded = oracle.round_shift(oracle.round_shift(total, first, "half_up"), s - first, "half_away")
        else:
            rounded = oracle.round_shift(total, s, rule["rounding"])
        codes.append(_fitted(rounded, words, rule["overflow"]))
    return {"code": np.array(codes, ACTIVATION_FORMATS[words["format"]].dtype).reshape(acc.shape)}


def _fitted(value, words, overflow):
    fmt = ACTIVATION_FORMATS[words["format"]]
    lo, hi = fmt.lo, fmt.hi
    if words["activation"] != "none":
        value = max(value, 0)
    if lo <= value <= hi:
        return value if overflow != "saturate_symmetric" else max(value, max(lo, -hi))
    if overflow == "wrap":
        return (value - lo) % (hi - lo + 1) + lo
    if overflow == "saturate_to_zero":
        return 0
    return hi if value > hi else max(lo, -hi) if overflow == "saturate_symmetric" else lo


def _layer(case):
    words, op = case.parameters, case.parameters["op"]
    attributes = {key: tuple(one) if isinstance(one, list) else one for key, one in words["attributes"].items()}
    constants = {name: case.inputs[name] for name in OPS[op].CONSTANTS}
    accumulates = OPS[op].ACCUMULATES
    names = [f"input_{n}" for n in range(len(operands_of(case)))]
    operands = [read(case, name) if accumulates else case.inputs[name] for name in names]
    if op == "requantize":
        by_index = {index: int(value) for index, value in np.ndenumerate(operands[0])}
    else:
        by_index = getattr(oracle, op)(*operands, **constants, **attributes)
    if not accumulates:
        found = {"code": _array(by_index, operands[0].dtype)}
        return {**found, "d": case.inputs["input_0_d"]} if "input_0_d" in case.inputs else found
    bits, policy = words["accumulator"]
    kept = {k: oracle.confine(v, bits, policy) if policy != "error" else v for k, v in by_index.items()}
    acc = _array(kept, np.int32)
    events = sum(kept[index] != value for index, value in by_index.items())
    found = {"accumulator": acc, "overflowed": np.array([events], np.int64)}
    if "weight" in constants:
        found["partial_sums"] = _partial_sums(op, operands[0], constants, attributes)
    if words["requantize"] is not None:
        found |= ended(case, acc, read(case, "residual") if "residual" in case.inputs else None)
    return found


def _partial_sums(op, x, constants, attributes):
    weight, where = constants["weight"], dict(attributes)
    if op == "fc":
        flat = x if x.ndim == 2 else _array(oracle.flatten(x), np.int64)
        x, weight = flat[:, None, None, :], weight[:, :, None, None]
        where |= {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}
    sums = _array(oracle.conv_partial_sums(x, weight=weight, **where), np.int32)
    return sums[:, 0, 0] if op == "fc" else sums


def _array(by_index, dtype):
    shape = [max(place) + 1 for place in zip(*by_index, strict=True)]
    made = np.zeros(shape, dtype)
    for index, value in by_index.items():
        made[index] = value
    return made


ORACLES = {
    "round_shift": _round_shift,
    "random_bits": _random_bits,
    "requantize": lambda case: ended(case, case.inputs["accumulator"], case.inputs.get("residual")),
    "confine": _confine,
    "window": _window,
    "bound": _bound,
    "values": _values,
    "top": _top,
    "nearest": _nearest,
    "nearest_codes": _nearest_codes,
    "rescale": _rescale,
    "exponent": _exponent,
    "width": _width,
    "arith": _arith,
    "layer": _layer,
}


# ----------------------------------------------------------------------------------------------------- whole networks


def by_run(backend):
    """Cases of layers by the network around them, on a backend that runs whole networks."""
    from refengine.runs.predict import predictor

    def compute(case):
        alone, seen = around(case), {}
        predict = predictor(alone.network, backend, len(alone.images), observed=[alone.layer])
        predict(alone.images, alone.first_image, lambda layer, operands, result: seen.update({layer.name: result}))
        result = seen[alone.layer]
        found = {} if result.accumulator is None else {"accumulator": result.accumulator.copy()}
        layer = alone.network.layer(alone.layer)
        if result.accumulator is None or layer.requantize is not None:
            found["code"] = result.result.copy()
        if result.coarser is not None:
            found["d"] = result.coarser
        return _shaped(found, case)

    return compute


def _shaped(found, case):
    """Results in the case's own shape: around it a row of codes is a row too."""
    wanted = answer_of(case)
    return {name: array.reshape(wanted[name].shape).astype(wanted[name].dtype) for name, array in found.items()}


def by_c(chosen, folder, change=None, options=("-O1",), jobs=2):
    """Cases of layers by their networks as C: compiled together, and what the taps saw."""
    alone = {name: around(case) for name, case in chosen.items()}
    models = [c_models.Case(one.network, one.images, one.first_image) for one in alone.values()]
    c_models.write_models(models, folder)
    if change is not None:
        for source in folder.glob("m*.c"):
            source.write_text(source.read_text().replace(*change))
    seen = c_models.seen_by_taps(folder, c_models.compiled(folder, "gcc", [*options], jobs))
    results = {}
    names = {"accumulators": "accumulator", "totals": "total", "codes": "code", "partial_sums": "partial_sums"}
    for (name, case), found in zip(chosen.items(), c_models.given(models, seen), strict=True):
        layer = alone[name].layer
        of_layer = {stage: array for (at, stage), array in found.items() if at == layer}
        results[name] = _shaped({names[stage]: array for stage, array in of_layer.items() if stage in names}, case)
        if "exponent" in of_layer:
            exponent = alone[name].network.layer(layer).exponent
            results[name]["d"] = of_layer["exponent"].reshape(-1) - exponent
    return results


def by_onnx(case, change=None):
    """A case of a layer by ONNX Runtime, which runs the network around it; None where the export refuses it."""
    from refengine.errors import NetworkError
    from refengine.interop.onnx.engines import engine
    from refengine.interop.onnx.export_int import to_onnx

    alone = around(case)
    try:
        model = to_onnx(alone.network, layers=True)
    except NetworkError:
        return None
    if change is not None:
        change(model, alone.layer)
    outputs = engine("onnxruntime", model).run(alone.images)
    stages = {
        stage: np.moveaxis(outputs[f"{alone.layer}.{stage}"], 1, -1)
        for stage in ("accumulator", "code")
        if f"{alone.layer}.{stage}" in outputs
    }
    return _shaped(stages, case)


def by_tosa(case, change=None):
    """A case of a layer by TOSA's reference model; None where TOSA cannot express it."""
    from refengine.errors import NetworkError
    from refengine.interop.tosa.engine import TosaEngine, reference_model

    alone, codes = around(case), {}
    try:
        made = TosaEngine(alone.network, reference_model())
    except NetworkError:
        return None

    def observe(layer, operands, result):
        codes[layer.name] = result.result

    run(alone.network, alone.images, "reference", observe, alone.first_image)
    found = made.run(alone.images, codes)[alone.layer]
    if change is not None:
        found = change(found)
    return _shaped(found, case)


def clause_counts(chosen):
    """How many of the cases each clause has."""
    return counts(case.clauses for case in chosen.values())
