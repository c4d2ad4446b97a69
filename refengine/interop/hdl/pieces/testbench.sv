// Streams the words of a vector pack through the DUT, with random pauses, and dumps its results for refengine compare.
//
//   +seed=NUMBER  of the pauses     +stall=PERCENT  of the clocks on which a stream pauses     +waves=FILE.vcd
//   +timeout=CLOCKS  without a word on any stream end the simulation
`timescale 1ns / 1ps

module testbench;
  import layer_pkg::*;

  localparam int RESULTS = IMAGES * OUT_HEIGHT * OUT_WIDTH * OUTPUTS / LANES;  // beats of the result

  logic clock = 0, reset = 1;
  logic x_valid = 0, x_ready, r_valid = 0, r_ready, y_valid, y_ready = 0;
  logic [X_WORD_W-1:0] x_word;
  logic [R_WORD_W-1:0] r_word;
  logic [LANES*ACC_W-1:0] y_accumulator;  //: accumulator
  logic [LANES*TOTAL_W-1:0] y_total;  //: total
  logic [LANES*CODE_W-1:0] y_code;  //: code

  dut dut (.*);

  initial forever #5 clock = !clock;

  // --------------------------------------------------------------------------------------------------- random pauses
  int seed, stall, timeout;
  logic [31:0] dice;
  wire x_go = 32'(dice[9:0]) * 100 >= 1024 * stall;
  wire r_go = 32'(dice[19:10]) * 100 >= 1024 * stall;
  wire y_go = 32'(dice[29:20]) * 100 >= 1024 * stall;

  always @(posedge clock) dice <= $random(seed);

  // ----------------------------------------------------------------------- what goes in: a word waits until it is taken
  logic [X_WORD_W-1:0] x_memory[0:IMAGES*X_WORDS-1];
  logic [R_WORD_W-1:0] r_memory[0:IMAGES*R_WORDS-1];
  int x_next = 0, r_next = 0;

  initial $readmemh(X_FILE, x_memory);
  initial if (HAS_RESIDUAL != 0) $readmemh(R_FILE, r_memory);

  always @(posedge clock)
    if (!reset && (!x_valid || x_ready)) begin
      x_valid <= x_go && x_next < IMAGES * X_WORDS;
      x_word  <= 'x;
      if (x_go && x_next < IMAGES * X_WORDS) begin
        x_word <= x_memory[x_next];
        x_next <= x_next + 1;
      end
    end

  always @(posedge clock)
    if (HAS_RESIDUAL != 0 && !reset && (!r_valid || r_ready)) begin
      r_valid <= r_go && r_next < IMAGES * R_WORDS;
      r_word  <= 'x;
      if (r_go && r_next < IMAGES * R_WORDS) begin
        r_word <= r_memory[r_next];
        r_next <= r_next + 1;
      end
    end

  // --------------------------------------------------------------------------------------------------- what comes out
  logic [LANES*ACC_W-1:0] accumulators[0:RESULTS-1];  //: accumulator
  logic [LANES*TOTAL_W-1:0] totals[0:RESULTS-1];  //: total
  logic [LANES*CODE_W-1:0] codes[0:RESULTS-1];  //: code
  int received = 0, idle = 0;
  logic refused = 0;  // whether a result waited at the last clock, and what it was
  logic [LANES*ACC_W-1:0] waiting_accumulator;  //: accumulator
  logic [LANES*TOTAL_W-1:0] waiting_total;  //: total
  logic [LANES*CODE_W-1:0] waiting_code;  //: code

  always @(posedge clock)
    if (!reset) begin
      y_ready <= y_go;
      refused <= y_valid && !y_ready;
      if (refused && y_valid !== 1) $fatal(1, "y_valid fell before y_ready came: result %0d is lost", received);
      waiting_accumulator <= y_accumulator;  //: accumulator
      waiting_total <= y_total;  //: total
      waiting_code <= y_code;  //: code
      if (refused && y_accumulator !== waiting_accumulator) changed("y_accumulator");  //: accumulator
      if (refused && y_total !== waiting_total) changed("y_total");  //: total
      if (refused && y_code !== waiting_code) changed("y_code");  //: code
      idle <= idle + 1;
      if (x_valid && x_ready || r_valid && r_ready) idle <= 0;
      if (y_valid && y_ready) begin
        idle <= 0;
        if (received == RESULTS) $fatal(1, "a result came after the last, there are %0d", RESULTS);
        accumulators[received] <= y_accumulator;  //: accumulator
        totals[received] <= y_total;  //: total
        codes[received] <= y_code;  //: code
        received <= received + 1;
      end
      if (received == RESULTS && idle == 100) dump;
      if (idle == timeout) begin
        $display("%0d of %0d results came, then nothing for %0d clocks", received, RESULTS, timeout);
        dump;
      end
    end

  task changed(string port);
    $fatal(1, "%s changed before y_ready came: result %0d must stay until it is taken", port, received);
  endtask

  task dump;
    if (received > 0) begin
      $writememh({"dump/", LAYER, ".accumulator.memh"}, accumulators, 0, received - 1);  //: accumulator
      $writememh({"dump/", LAYER, ".total.memh"}, totals, 0, received - 1);  //: total
      $writememh({"dump/", LAYER, ".code.memh"}, codes, 0, received - 1);  //: code
    end
    $finish;
  endtask

  // ------------------------------------------------------------------------------------------------------- the start
  string waves;

  initial begin
    if (!$value$plusargs("seed=%d", seed)) seed = 1;
    if (!$value$plusargs("stall=%d", stall)) stall = 25;
    if (!$value$plusargs("timeout=%d", timeout)) timeout = 200000;
    if ($value$plusargs("waves=%s", waves)) begin
      $dumpfile(waves);
      $dumpvars(0, testbench);
    end
    repeat (2) @(negedge clock);
    reset = 0;
  end
endmodule
