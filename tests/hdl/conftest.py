"""The example for cocotb runs inside a simulator, started by test_hdl.py; it is no module to be collected."""

collect_ignore_glob = ["example_cocotb/*"]
