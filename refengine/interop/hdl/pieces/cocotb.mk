# make: builds, simulates, and compares the results with the pack; fails unless every value is right

PACK = @PACK@
LAYER = @LAYER@
export SEED = 1
export STALL = 25
export TIMEOUT = 200000
REFENGINE = refengine

verdict:
	rm -rf dump && mkdir dump
	$(MAKE) -f Makefile sim
	! grep "<failure" results.xml
	$(REFENGINE) compare "$(PACK)" dump --layer "$(LAYER)"@OPTIONS@

SIM ?= icarus
TOPLEVEL_LANG = verilog
VERILOG_SOURCES = layer_pkg.sv dut.sv
TOPLEVEL = dut
MODULE = testbench
COCOTB_TOPLEVEL = dut
COCOTB_TEST_MODULES = testbench
include $(shell cocotb-config --makefiles)/Makefile.sim

.PHONY: verdict
