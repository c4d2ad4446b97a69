// An example: one ternary convolution of NAME_ in hardware, checked beat by beat against the golden model.  The module `dut`
// is yours; its memories are filled from the model, its codes and residual come from the model's layers before it.
//
//   +images=COUNT  random images, 1 unless told    +seed=NUMBER  which    +image=FILE  one image for $readmemh, a byte a line
`timescale 1ns / 1ps

module NAME_tb;
  import NAME_pkg::*;

  // PARAMETERS

  localparam int CLUSTERS = INPUTS / CLUSTER;
  localparam int X_WORDS = HEIGHT * WIDTH * CLUSTERS;
  localparam int RESULTS = OUT_HEIGHT * OUT_WIDTH * OUTPUTS;
  localparam int TAPS = KERNEL_H * KERNEL_W;

  logic [CLUSTER*2-1:0] weight_memory[0:OUTPUTS*TAPS*CLUSTERS-1];
  logic [SCALE_W-1:0] scale_memory[0:OUTPUTS*CLUSTERS-1];
  logic signed [ACC_W-1:0] bias_memory[0:OUTPUTS-1];
  logic [MULTIPLIER_W-1:0] multiplier_memory[0:OUTPUTS-1];
  logic [SHIFT_W-1:0] shift_memory[0:OUTPUTS-1];
  logic [SHIFT_W-1:0] residual_shift_memory[0:OUTPUTS-1];
  logic [CODE_W-1:0] residual_memory[0:HAS_RESIDUAL?RESULTS-1:0];
  logic [7:0] image[0:PIXELS-1];

  logic clock = 0, reset = 1, x_valid = 0, start = 0;
  logic busy, y_valid;
  logic [CLUSTER*CODE_W-1:0] x_word = '0;
  // addresses have 32 bits in every layer; no memory is that deep
  // verilator lint_off UNUSEDSIGNAL
  logic [31:0] weight_address, scale_address, bias_address, factor_address, residual_address, y_address;
  // verilator lint_on UNUSEDSIGNAL
  logic signed [ACC_W-1:0] y_accumulator;
  logic signed [63:0] y_total;
  logic [CODE_W-1:0] y_code;

  initial forever #5 clock = !clock;

  dut #(
      .HEIGHT(HEIGHT), .WIDTH(WIDTH), .INPUTS(INPUTS), .OUTPUTS(OUTPUTS), .KERNEL_H(KERNEL_H), .KERNEL_W(KERNEL_W),
      .STRIDE_H(STRIDE_H), .STRIDE_W(STRIDE_W), .PAD_TOP(PAD_TOP), .PAD_LEFT(PAD_LEFT), .OUT_HEIGHT(OUT_HEIGHT),
      .OUT_WIDTH(OUT_WIDTH), .CLUSTER(CLUSTER), .CODE_W(CODE_W), .SCALE_W(SCALE_W), .ACC_W(ACC_W),
      .MULTIPLIER_W(MULTIPLIER_W), .SHIFT_W(SHIFT_W), .INPUT_SIGNED(INPUT_SIGNED),
      .RESIDUAL_SIGNED(RESIDUAL_SIGNED), .HAS_RESIDUAL(HAS_RESIDUAL), .CLIP_LO(CLIP_LO), .CLIP_HI(CLIP_HI)
  ) layer (
      .weight_word(weight_memory[weight_address]),
      .scale(scale_memory[scale_address]),
      .bias(bias_memory[bias_address]),
      .multiplier(multiplier_memory[factor_address]),
      .shift(shift_memory[factor_address]),
      .residual_shift(residual_shift_memory[factor_address]),
      .residual(HAS_RESIDUAL ? residual_memory[residual_address] : '0),
      .*
  );

  NAME_check #(
      .LAYER(LAYER)
  ) check (
      .valid(y_valid),
      .index(y_address),
      .accumulator(32'(y_accumulator)),
      .total(y_total),
      .code(OUTPUT_SIGNED ? 32'($signed(y_code)) : 32'(y_code)),
      .clock
  );

  // a ternary code in two bits: 01 is 1, 11 is -1; words of CLUSTER codes in the order o, ky, kx, cluster
  task automatic fill_memories;
    for (int o = 0; o < OUTPUTS; o++) begin
      for (int tap = 0; tap < TAPS; tap++)
        for (int i = 0; i < INPUTS; i++)
          weight_memory[(o*TAPS+tap)*CLUSTERS+i/CLUSTER][i%CLUSTER*2+:2] =
              2'(NAME_dpi_constant(LAYER, WEIGHT, (o * INPUTS + i) * TAPS + tap));
      for (int g = 0; g < CLUSTERS; g++)
        scale_memory[o*CLUSTERS+g] = SCALE_W'(NAME_dpi_constant(LAYER, SCALE, o * CLUSTERS + g));
      bias_memory[o] = ACC_W'(NAME_dpi_constant(LAYER, BIAS, o));
      multiplier_memory[o] = MULTIPLIER_W'(NAME_dpi_constant(LAYER, MULTIPLIER, o));
      shift_memory[o] = SHIFT_W'(NAME_dpi_constant(LAYER, SHIFT, o));
      residual_shift_memory[o] =
          HAS_RESIDUAL ? SHIFT_W'(NAME_dpi_constant(LAYER, RESIDUAL_SHIFT, o)) : '0;
    end
  endtask

  task automatic run_golden(input int n);
    for (int i = 0; i < PIXELS; i++) NAME_dpi_pixel(i, 32'(image[i]));
    NAME_dpi_run(longint'(n));
    if (HAS_RESIDUAL)
      for (int i = 0; i < RESULTS; i++) residual_memory[i] = CODE_W'(NAME_dpi_code(RESIDUAL, i));
  endtask

  task automatic stream_codes;
    for (int word = 0; word < X_WORDS; word++) begin
      x_valid = 1;
      for (int lane = 0; lane < CLUSTER; lane++)
        x_word[lane*CODE_W+:CODE_W] = CODE_W'(NAME_dpi_code(SOURCE, word * CLUSTER + lane));
      @(negedge clock);
    end
    x_valid = 0;
  endtask

  string file;
  int images;
  // verilator lint_off UNUSEDSIGNAL
  int seed;  // $random reads and writes it
  // verilator lint_on UNUSEDSIGNAL

  initial begin
    if (!$value$plusargs("images=%d", images)) images = 1;
    if (!$value$plusargs("seed=%d", seed)) seed = 1;
    fill_memories();
    repeat (2) @(negedge clock);
    reset = 0;
    for (int n = 0; n < images; n++) begin
      for (int i = 0; i < PIXELS; i++) image[i] = 8'($random(seed));
      if ($value$plusargs("image=%s", file)) $readmemh(file, image);
      run_golden(n);
      stream_codes();
      start = 1;
      @(negedge clock);
      start = 0;
      while (busy) @(negedge clock);
      repeat (4) @(negedge clock);  // the register stages of the DUT, and the checker's own
      check.expect_images(n + 1);
    end
    $display("layer %s: all %0d values of %0d images are right", NAME_dpi_name(LAYER), images * RESULTS, images);
    $finish;
  end
endmodule
