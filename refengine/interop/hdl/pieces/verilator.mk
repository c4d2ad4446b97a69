# make: builds, simulates, and compares the results with the pack; fails unless every value is right

PACK = @PACK@
LAYER = @LAYER@
SEED = 1
STALL = 25
TIMEOUT = 200000
WAVES =
REFENGINE = refengine

verdict: objects/simulation
	rm -rf dump && mkdir dump
	objects/simulation +seed=$(SEED) +stall=$(STALL) +timeout=$(TIMEOUT) $(if $(WAVES),+waves=$(WAVES))
	$(REFENGINE) compare "$(PACK)" dump --layer "$(LAYER)"@OPTIONS@

objects/simulation: layer_pkg.sv dut.sv testbench.sv
	verilator --binary --timing --trace -Wno-fatal -MAKEFLAGS -s --top testbench -Mdir objects -o simulation $^

clean:
	rm -rf objects dump *.vcd

.PHONY: verdict clean
