"""What rules ask of a layer."""

import networks
import numpy as np
from lint_networks import SMALL

from refengine.analysis.lint import lint
from refengine.network.int_network import IntLayer


def test_a_share_that_is_not_0_is_not_called_so():
    """One of 200 input channels."""
    image, _, fc = SMALL.layers
    pad = IntLayer("001_pad", "pad_channels", ("000_input",), 0, attributes={"before": 0, "after": 1})
    wide = IntLayer("002_concat", "concat", ("000_input",) * 199 + ("001_pad",), 0)
    weight = np.ones((2, 201 * 4), np.int8)
    constants = {"weight": weight, "scale": np.ones((2, 1), np.int8), "bias": np.arange(2, dtype=np.int32)}
    last = {**vars(fc), "name": "003_fc", "inputs": ("002_concat",), "constants": constants}
    network = networks.small(layers=(image, pad, wide, IntLayer(**{**last, "attributes": {"cluster": 201 * 4}})))
    (finding,) = [finding for finding in lint(network) if finding.rule == "dead-inputs"]
    assert finding.detail.endswith("less than 1 % of the work adds nothing")
    assert (finding.channels, finding.of) == ((200,), 201)
