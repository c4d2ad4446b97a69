"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE=...:

    quick      the default: the same 50 examples every time
    ci         the same 100 examples every time
    thorough   1000 new examples

No deadlines and no complaints about slowness: the first example of a kernel compiles it, and the machine may be busy.
"""

import os

from hypothesis import HealthCheck, settings

collect_ignore = ["extended_package.py"]  # a program for a package that test_extending.py extends

ALWAYS = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("quick", derandomize=True, max_examples=50, **ALWAYS)
settings.register_profile("ci", derandomize=True, max_examples=100, **ALWAYS)
settings.register_profile("thorough", max_examples=1000, **ALWAYS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
