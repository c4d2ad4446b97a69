"""The cocotb test: one scoreboard a stage, each fed by a monitor at the layer's outputs while the simulation runs."""

import os

import cocotb

from refengine.golden.compare.scoreboard import Scoreboard, monitor
from refengine.golden.dumps.open_dump import open_dump


@cocotb.test()
async def the_layer_agrees(dut):
    """ternary_conv_tb feeds the layer; every accumulator and every code is checked on the clock on which it comes."""
    ports = {"accumulator": dut.y_accumulator, "total": dut.y_total, "code": dut.y_code}
    with open_dump(os.environ["PACK"]) as golden:
        scoreboards = {stage: Scoreboard(golden, os.environ["LAYER"], stage) for stage in ports}
        monitors = [
            cocotb.start_soon(monitor(dut.clock, dut.y_valid, port, scoreboards[stage]))
            for stage, port in ports.items()
        ]
        for running in monitors:
            await running
        for scoreboard in scoreboards.values():
            dut._log.info(scoreboard.report())
        for scoreboard in scoreboards.values():
            scoreboard.check()
