"""refengine: a convolutional network in nothing but integers, every bit defined.

Floors, imports only point down; a name is a path:

    numbers    formats, rounding, requantization: all that rounds or clips
    kernels    Numba: sums of integers, fast
    ops        one operator a file: formula, NumPy definition, door to its kernel
    network    float and integer networks, their validation and their files
    quantize   from float to integer
    engine     run, trace
    vectors    tensors as files that simulators, synthesis and firmware read, and back
    accuracy   evaluate, cost, sweep, report
    interop    networks, images and engines of others
    golden     compare, cause, explain: the workflow of who builds the network elsewhere
    cli        a verb a file
"""

__version__ = "0.1.0"
CONTRACT = 1
