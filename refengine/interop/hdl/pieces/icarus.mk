# make: builds, simulates, and compares the results with the pack; fails unless every value is right

PACK = @PACK@
LAYER = @LAYER@
SEED = 1
STALL = 25
TIMEOUT = 200000
WAVES =
REFENGINE = refengine

verdict: simulation
	rm -rf dump && mkdir dump
	vvp -n simulation +seed=$(SEED) +stall=$(STALL) +timeout=$(TIMEOUT) $(if $(WAVES),+waves=$(WAVES))
	$(REFENGINE) compare "$(PACK)" dump --layer "$(LAYER)"@OPTIONS@

simulation: layer_pkg.sv dut.sv testbench.sv
	iverilog -g2012 -Wall -s testbench -o $@ $^

clean:
	rm -rf simulation dump *.vcd

.PHONY: verdict clean
