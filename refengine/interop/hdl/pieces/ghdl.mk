# make: builds, simulates, and compares the results with the pack; fails unless every value is right

PACK = @PACK@
LAYER = @LAYER@
SEED = 1
STALL = 25
TIMEOUT = 200000
WAVES =
REFENGINE = refengine

verdict: objects/built
	rm -rf dump && mkdir dump
	ghdl -r --std=08 --workdir=objects testbench -gSEED=$(SEED) -gSTALL=$(STALL) -gTIMEOUT=$(TIMEOUT) $(if $(WAVES),--vcd=$(WAVES))
	$(REFENGINE) compare "$(PACK)" dump --layer "$(LAYER)"@OPTIONS@

objects/built: layer_pkg.vhd dut.vhd testbench.vhd
	mkdir -p objects
	ghdl -a --std=08 --workdir=objects $^
	ghdl -e --std=08 --workdir=objects testbench
	touch $@

clean:
	rm -rf objects dump *.vcd

.PHONY: verdict clean
