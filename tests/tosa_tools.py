"""Tests that run TOSA's reference model: it needs an environment of its own (tests/numbers/test_arith_tosa.py)."""

import os

import pytest

needs_tosa = pytest.mark.skipif(
    "TOSA_PYTHON" not in os.environ, reason="TOSA_PYTHON names no environment with tosa-tools"
)
