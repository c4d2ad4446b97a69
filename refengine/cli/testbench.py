"""``refengine testbench``: a folder in which ``make`` simulates a layer and compares it with a vector pack."""

from __future__ import annotations

import click

from . import console, options

_SIMULATORS = ("icarus", "verilator", "ghdl", "cocotb")


@click.command("testbench")
@click.argument("pack", metavar="PACK")
@click.option("-o", "--output", metavar="DIR", required=True, help="The folder to write, new or empty.")
@click.option("--layer", metavar="LAYER", required=True, help="The layer that the DUT computes.")
@click.option(
    "--simulator", type=click.Choice(_SIMULATORS), required=True, help="cocotb: in Icarus, or 'make SIM=...'."
)
@click.option("--reference", is_flag=True, help="Put the project's own ternary convolution in as the DUT.")
@click.option(
    "--lanes",
    type=options.POSITIVE,
    default=1,
    show_default=True,
    metavar="K",
    help="Results that the DUT gives a beat.",
)
@options.json_file
def command(
    pack: str, output: str, layer: str, simulator: str, reference: bool, lanes: int, json_path: str | None
) -> None:
    """Write a testbench for one layer, which make builds, runs and compares.

    DIR has the layer's parameters as a package, a testbench that streams the words of the pack with random pauses and
    dumps the results, a DUT to be written (dut.sv, dut.vhd), and a Makefile.  'make' fails unless 'refengine compare'
    says EQUAL.  'make SEED=2 STALL=60' pauses otherwise, 'make WAVES=run.vcd' dumps waves.
    """
    from ..interop.hdl.testbench import write_testbench

    console.check_outputs([pack], json_path)
    files = write_testbench(pack, output, layer, simulator, reference=reference, lanes=lanes)
    figures = {"output": output, "simulator": simulator, "reference": reference, "files": [*files]}
    if not console.write_json(json_path, "testbench", figures, [pack]):
        console.say(f"{output}: {', '.join(files)}; next: make -C {output}")
