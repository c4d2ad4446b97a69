"""An integer network as a golden model in C99, and its DPI interface to SystemVerilog.

``model.py`` puts a file together: the pieces of C that an operator or a rule of the contract is (``pieces/*.c``, which
are the same in every file), the network's integers as static tables, and one call for each layer.
"""
