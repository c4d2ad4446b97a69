"""Random integer networks, every integer of every layer compared with the engines of others.

Each has lookups, products, gathered channels and a convolution with zeros between its taps among up to nine layers.
As a program it prints what docs/interop.md says of them; TOSA needs TOSA_PYTHON (docs/interop.md):

    PYTHONPATH=.:tests python tests/random_networks.py --count 300 --with onnxruntime,onnx-reference,tosa,tosa-network
"""

import argparse
import sys
from collections import Counter

import numpy as np
from networks import _COMMON, _NEW, random_images, seeded

from refengine.golden.crosscheck import crosscheck
from refengine.numbers.rounding import DOUBLE_ROUND, MODES

ROUNDINGS = (*MODES, DOUBLE_ROUND)
IMAGES = 2


def network(seed):
    """The network of a seed: one each of the new operators, others between them, in a random order."""
    rng = np.random.default_rng(seed)
    ops = [*_NEW, "dilated", *rng.choice(_COMMON, rng.integers(0, 6))]
    return seeded(seed, [str(op) for op in rng.permutation(ops)], ROUNDINGS)


def main(arguments):
    """Count integers and differences by engine; exit code 1 where some differ."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--with", dest="engines", default="onnxruntime,onnx-reference")
    given = parser.parse_args(arguments)
    found = {name: Counter() for name in given.engines.split(",")}
    for seed in range(given.first, given.first + given.count):
        made = network(seed)
        for one in crosscheck(made, random_images(made, IMAGES, seed), [*found], backend="kernels"):
            found[one.engine].update(
                networks=1, layers=one.layers, integers=one.values, different=one.different, by_int64=len(one.by_int64)
            )
            if one.different:
                print(f"network {seed}: {one.different} integers differ in {one.engine}", flush=True)
    for name, counts in found.items():
        print(name, ", ".join(f"{what} {count:,}" for what, count in counts.items()))
    return int(any(counts["different"] for counts in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
