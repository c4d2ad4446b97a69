"""A layer in Icarus Verilog with scoreboards of refengine, by cocotb: needs ``pip install ".[hdl]"`` and iverilog.

python run.py PACK LAYER FOLDER [BUG]      BUG: a number of planted_bugs.sv
"""

import os
import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

HERE = Path(__file__).resolve().parent
HDL = HERE.parent


def main(pack, layer, folder, bug="0"):
    """Build and simulate in a folder; an exit code other than 0 says that the test failed."""
    sys.path[:0] = [str(HERE), str(HDL)]  # the runner hands them on as PYTHONPATH
    import layer_parameters as layers

    folder, pack = Path(folder).resolve(), Path(pack).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "layer.svh").write_text(layers.as_systemverilog(layers.parameters(layers.Pack(pack), layer)))
    os.environ.update(PACK=str(pack), LAYER=layer)
    runner = get_runner("icarus")
    runner.build(
        sources=[HDL / name for name in ("planted_bugs.sv", "ternary_conv.sv", "ternary_conv_tb.sv")],
        includes=[folder],
        hdl_toplevel="ternary_conv_tb",
        build_dir=folder / "build",
        build_args=["-g2012"],
    )
    results = runner.test(
        hdl_toplevel="ternary_conv_tb",
        test_module="layer_bench",
        build_dir=folder / "build",
        test_dir=folder,
        results_xml=str(folder / "results.xml"),
        plusargs=[f"+pack={pack}", f"+out={folder}", f"+bug={bug}"],
    )
    return 1 if b"<failure" in Path(results).read_bytes() else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
