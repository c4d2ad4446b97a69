// Drives ternary_conv with the words of a vector pack and dumps its accumulators, totals and codes for refengine compare, in
// the order y, x, o, image after image.  layer.svh (tests/hdl/layer_parameters.py makes it from the manifest) holds the
// parameters.
//
//   +pack=FOLDER  the pack            +out=FOLDER  the results: LAYER.STAGE.memh, by $writememh
//   +bug=NUMBER   a planted mistake   +text        the results as LAYER.STAGE.txt, a number a line, by $fwrite
//   +images=COUNT                     +waves=FILE  the layer's outputs as waves
`timescale 1ns / 1ps

module ternary_conv_tb;
  import planted_bugs::*;
  `include "layer.svh"

  localparam int CLUSTERS = INPUTS / CLUSTER;
  localparam int X_WORDS = HEIGHT * WIDTH * CLUSTERS;
  localparam int RESULTS = OUT_HEIGHT * OUT_WIDTH * OUTPUTS;
  localparam int RESIDUALS = HAS_RESIDUAL ? IMAGES * RESULTS : 1;
  localparam int FACTORS = ONE_FACTOR ? 1 : OUTPUTS;  // one multiplier and shift for all channels, or one each

  // the memories, as the pack has them
  logic [CLUSTER*CODE_W-1:0] x_memory[0:IMAGES*X_WORDS-1];
  logic [CLUSTER*2-1:0] weight_memory[0:OUTPUTS*KERNEL_H*KERNEL_W*CLUSTERS-1];
  logic [SCALE_W-1:0] scale_memory[0:OUTPUTS*CLUSTERS-1];
  logic signed [ACC_W-1:0] bias_memory[0:OUTPUTS-1];
  logic [MULTIPLIER_W-1:0] multiplier_memory[0:FACTORS-1];
  logic [SHIFT_W-1:0] shift_memory[0:FACTORS-1];
  logic [SHIFT_W-1:0] residual_shift_memory[0:FACTORS-1];
  logic [CODE_W-1:0] residual_memory[0:RESIDUALS-1];

  // what comes out
  logic signed [ACC_W-1:0] accumulators[0:IMAGES*RESULTS-1];
  logic signed [63:0] totals[0:IMAGES*RESULTS-1];
  logic [CODE_W-1:0] codes[0:IMAGES*RESULTS-1];

  logic clock = 0, reset = 1, x_valid = 0, start = 0;
  logic busy, y_valid;
  logic [5:0] bug;
  logic [CLUSTER*CODE_W-1:0] x_word;
  // addresses have 32 bits in every layer; no memory is that deep
  // verilator lint_off UNUSEDSIGNAL
  logic [31:0] weight_address, scale_address, bias_address, factor_address, residual_address, y_address;
  logic signed [ACC_W-1:0] y_accumulator;
  logic signed [63:0] y_total;
  logic [CODE_W-1:0] y_code;
  int n, factor;
  // verilator lint_on UNUSEDSIGNAL

  initial forever #5 clock = !clock;
  assign factor = ONE_FACTOR ? 0 : factor_address;

  ternary_conv #(
      .HEIGHT(HEIGHT), .WIDTH(WIDTH), .INPUTS(INPUTS), .OUTPUTS(OUTPUTS), .KERNEL_H(KERNEL_H), .KERNEL_W(KERNEL_W),
      .STRIDE_H(STRIDE_H), .STRIDE_W(STRIDE_W), .PAD_TOP(PAD_TOP), .PAD_LEFT(PAD_LEFT), .OUT_HEIGHT(OUT_HEIGHT),
      .OUT_WIDTH(OUT_WIDTH), .CLUSTER(CLUSTER), .CODE_W(CODE_W), .SCALE_W(SCALE_W), .ACC_W(ACC_W),
      .MULTIPLIER_W(MULTIPLIER_W), .SHIFT_W(SHIFT_W), .INPUT_SIGNED(INPUT_SIGNED),
      .RESIDUAL_SIGNED(RESIDUAL_SIGNED), .HAS_RESIDUAL(HAS_RESIDUAL), .CLIP_LO(CLIP_LO), .CLIP_HI(CLIP_HI)
  ) dut (
      .weight_word(weight_memory[weight_address]),
      .scale(scale_memory[scale_address]),
      .bias(bias_memory[bias_address]),
      .multiplier(multiplier_memory[factor]),
      .shift(shift_memory[factor]),
      .residual_shift(HAS_RESIDUAL ? residual_shift_memory[factor] : '0),
      .residual(HAS_RESIDUAL ? residual_memory[n*RESULTS+residual_address] : '0),
      .*
  );

  always @(posedge clock)
    if (y_valid) begin
      accumulators[n*RESULTS+y_address] <= y_accumulator;
      totals[n*RESULTS+y_address] <= y_total;
      codes[n*RESULTS+y_address] <= y_code;
    end

  string pack, out, name, waves;
  int images, number;

  initial
    if ($value$plusargs("waves=%s", waves)) begin
      $dumpfile(waves);
      $dumpvars(1, ternary_conv_tb);
    end

  initial begin
    if (!$value$plusargs("pack=%s", pack) || !$value$plusargs("out=%s", out)) $fatal(1, "needs +pack= and +out=");
    if (!$value$plusargs("images=%d", images)) images = IMAGES;
    if (!$value$plusargs("bug=%d", number)) number = 0;
    if (images > IMAGES || number >= int'(LAST_BUG)) $fatal(1, "the pack has %0d images, bugs are 0..%0d", IMAGES,
                                                            int'(LAST_BUG) - 1);
    bug = 6'(number);

    $sformat(name, "%0s/%0s/code.memh", pack, SOURCE);
    $readmemh(name, x_memory);
    $sformat(name, "%0s/%0s/weight.memh", pack, LAYER);
    $readmemh(name, weight_memory);
    $sformat(name, "%0s/%0s/scale.memh", pack, LAYER);
    $readmemh(name, scale_memory);
    $sformat(name, "%0s/%0s/bias.memh", pack, LAYER);
    $readmemh(name, bias_memory);
    $sformat(name, "%0s/%0s/multiplier.memh", pack, LAYER);
    $readmemh(name, multiplier_memory);
    $sformat(name, "%0s/%0s/shift.memh", pack, LAYER);
    $readmemh(name, shift_memory);
    if (HAS_RESIDUAL) begin
      $sformat(name, "%0s/%0s/residual_shift.memh", pack, LAYER);
      $readmemh(name, residual_shift_memory);
      $sformat(name, "%0s/%0s/code.memh", pack, RESIDUAL);
      $readmemh(name, residual_memory);
    end

    repeat (2) @(negedge clock);
    reset = 0;
    for (n = 0; n < images; n++) begin
      for (int word = 0; word < X_WORDS; word++) begin
        x_valid = 1;
        x_word  = x_memory[n*X_WORDS+word];
        @(negedge clock);
      end
      x_valid = 0;
      start   = 1;
      @(negedge clock);
      start = 0;
      while (busy) @(negedge clock);
      repeat (3) @(negedge clock);  // two register stages, and the memory of the results
    end
    if ($test$plusargs("text")) write_text();
    else write_memories();
    $finish;
  end

  task automatic write_memories;
    $sformat(name, "%0s/%0s.accumulator.memh", out, LAYER);
    $writememh(name, accumulators, 0, images * RESULTS - 1);
    $sformat(name, "%0s/%0s.total.memh", out, LAYER);
    $writememh(name, totals, 0, images * RESULTS - 1);
    $sformat(name, "%0s/%0s.code.memh", out, LAYER);
    $writememh(name, codes, 0, images * RESULTS - 1);
  endtask

  task automatic write_text;
    int accumulator_file, total_file, code_file;
    $sformat(name, "%0s/%0s.accumulator.txt", out, LAYER);
    accumulator_file = $fopen(name, "w");
    $sformat(name, "%0s/%0s.total.txt", out, LAYER);
    total_file = $fopen(name, "w");
    $sformat(name, "%0s/%0s.code.txt", out, LAYER);
    code_file = $fopen(name, "w");
    for (int i = 0; i < images * RESULTS; i++) begin
      $fwrite(accumulator_file, "%0d\n", accumulators[i]);
      $fwrite(total_file, "%0d\n", totals[i]);
      if (OUTPUT_SIGNED) $fwrite(code_file, "%0d\n", $signed(codes[i]));
      else $fwrite(code_file, "%0d\n", codes[i]);
    end
    $fclose(accumulator_file);
    $fclose(total_file);
    $fclose(code_file);
  endtask
endmodule
