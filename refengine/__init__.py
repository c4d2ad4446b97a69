"""refengine: a convolutional network in nothing but integers, every bit defined.

Floors, imports only point down; a name is a path:

    numbers       formats, rounding, requantization: all that rounds or clips
    kernels       Numba: sums of integers, fast
    ops           one operator a file: formula, NumPy definition, the call of its kernel
    network       float and integer networks, their validation and their files
    engine        run, and the fast plan
    runs          runs over many images on any backend: logits, traces, digests
    quantization  from float to integer
    vectors       tensors as files that simulators, synthesis and firmware read, and back
    interop       networks and images of others
    bench         speed beside production engines
    accuracy      evaluate, cost, sweep, report
    analysis      explain, lint, ranges, worst cases: no device under test involved
    golden        crosscheck, dumps, diagnose, compare: the workflow of who builds the network elsewhere
    cli           a verb a file
"""

__version__ = "0.1.0"
CONTRACT = 1
