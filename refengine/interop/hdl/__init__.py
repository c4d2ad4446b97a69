"""A testbench for a layer in hardware, in four simulators: the pieces, and what a layer puts into them."""
