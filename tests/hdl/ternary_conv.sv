// A ternary convolution layer, as refengine's contract has it (docs/contract.md, sections Conv and Requantize):
//
//   sum[g]  = sum over cluster g, ky, kx of +x, -x or nothing, as the 2-bit code says     (01: +x, 11: -x, 00: nothing)
//   acc     = bias[o] + sum over g of scale[o, g] * sum[g]
//   code    = clip((acc * multiplier[o] + (residual << residual_shift[o]) + half) >>> shift[o])
//
// One image at a time: stream its codes into the tile buffer (x_valid, N channels a word, pixel after pixel), then pulse
// start.  Each clock takes one kernel tap of one cluster: N codes through an adder/subtractor tree.  The cluster's sum
// is multiplied once, when its last tap has come.  Results leave in the order y, x, o with the address where they belong.
// The constants lie in memories outside that answer in the same clock; so does the residual.
//
// bug is 0 in any design that is to work; synthesis then removes all that looks at it.  The tests plant mistakes with it.

`timescale 1ns / 1ps

module ternary_conv
  import planted_bugs::*;
#(
    parameter int HEIGHT = 8,             // of the input
    parameter int WIDTH = 8,
    parameter int INPUTS = 8,             // channels, a multiple of CLUSTER
    parameter int OUTPUTS = 8,
    parameter int KERNEL_H = 3,
    parameter int KERNEL_W = 3,
    parameter int STRIDE_H = 1,
    parameter int STRIDE_W = 1,
    parameter int PAD_TOP = 1,
    parameter int PAD_LEFT = 1,
    parameter int OUT_HEIGHT = 8,
    parameter int OUT_WIDTH = 8,
    parameter int CLUSTER = 4,            // N: input channels that share a scale
    parameter int CODE_W = 8,
    parameter int SCALE_W = 7,            // unsigned
    parameter int ACC_W = 32,
    parameter int TOTAL_W = 64,
    parameter int MULTIPLIER_W = 8,       // unsigned
    parameter int SHIFT_W = 6,            // unsigned
    parameter bit INPUT_SIGNED = 0,
    parameter bit RESIDUAL_SIGNED = 0,
    parameter bit HAS_RESIDUAL = 1,
    parameter int CLIP_LO = 0,
    parameter int CLIP_HI = 255
) (
    input  logic                            clock,
    input  logic                            reset,
    input  logic [                     5:0] bug,            // of planted_bugs
    // codes that come in
    input  logic                            x_valid,
    input  logic [      CLUSTER*CODE_W-1:0] x_word,          // channel 0 in the low bits
    input  logic                            start,
    output logic                            busy,
    // memories
    output logic [                    31:0] weight_address,  // ((o * KERNEL_H + ky) * KERNEL_W + kx) * CLUSTERS + g
    input  logic [           CLUSTER*2-1:0] weight_word,
    output logic [                    31:0] scale_address,   // o * CLUSTERS + g
    input  logic [             SCALE_W-1:0] scale,
    output logic [                    31:0] bias_address,    // o
    input  logic signed [        ACC_W-1:0] bias,
    output logic [                    31:0] factor_address,  // o of the accumulator that is finished, for these three
    input  logic [        MULTIPLIER_W-1:0] multiplier,
    input  logic [             SHIFT_W-1:0] shift,
    input  logic [             SHIFT_W-1:0] residual_shift,
    output logic [                    31:0] residual_address,  // (y * OUT_WIDTH + x) * OUTPUTS + o
    input  logic [              CODE_W-1:0] residual,
    // results
    output logic                            y_valid,
    output logic [                    31:0] y_address,
    output logic signed [        ACC_W-1:0] y_accumulator,
    output logic signed [      TOTAL_W-1:0] y_total,         // what is rounded
    output logic [              CODE_W-1:0] y_code
);
  localparam int CLUSTERS = INPUTS / CLUSTER;
  localparam int PIXELS = HEIGHT * WIDTH;
  localparam int TAPS = KERNEL_H * KERNEL_W * CLUSTER;
  localparam int SUM_W = CODE_W + 1 + $clog2(TAPS);

  // ------------------------------------------------------------------------------------------------- the tile buffer
  logic [CLUSTER*CODE_W-1:0] tile[0:PIXELS*CLUSTERS-1];
  logic [31:0] fill;
  logic first_image;
  wire kept = (bug == LAST_ROW || bug == STALE_ROW && !first_image) && fill >= (HEIGHT - 1) * WIDTH * CLUSTERS;

  initial for (int i = 0; i < PIXELS * CLUSTERS; i++) tile[i] = '0;

  always_ff @(posedge clock)
    if (reset) first_image <= 1;
    else if (start) first_image <= 0;

  always_ff @(posedge clock)
    if (reset || start) fill <= 0;
    else if (x_valid) begin
      if (!kept) tile[fill] <= x_word;
      fill <= fill + 1;
    end

  // --------------------------------------------------------------------------- counters: tap in cluster in output in pixel
  int y, x, o, g, ky, kx;
  wire first_tap = ky == 0 && kx == 0;
  wire last_tap = ky == KERNEL_H - 1 && kx == KERNEL_W - 1;
  wire last_cluster = g == CLUSTERS - 1;
  wire last_output = o == OUTPUTS - 1;
  wire last_column = x == OUT_WIDTH - 1;
  wire last_row = y == OUT_HEIGHT - 1;

  always_ff @(posedge clock)
    if (reset) begin
      busy <= 0;
      {y, x, o, g, ky, kx} <= '0;
    end else if (start) busy <= 1;
    else if (busy) begin
      kx <= kx == KERNEL_W - 1 ? 0 : kx + 1;
      if (kx == KERNEL_W - 1) ky <= last_tap ? 0 : ky + 1;
      if (last_tap) g <= last_cluster ? 0 : g + 1;
      if (last_tap && last_cluster) begin
        o <= last_output ? 0 : o + 1;
        if (last_output) x <= last_column ? 0 : x + 1;
        if (last_output && last_column) y <= last_row ? 0 : y + 1;
        if (last_output && last_column && last_row) busy <= 0;
      end
    end

  // ----------------------------------------------------------------------------------------------- codes of one tap
  int in_y, in_x;
  logic in_image;
  logic [$clog2(PIXELS*CLUSTERS)-1:0] tile_address;
  logic [CLUSTER*CODE_W-1:0] codes;

  always_comb begin
    in_y = y * STRIDE_H + ky - PAD_TOP;
    in_x = x * STRIDE_W + kx - PAD_LEFT + (bug == WINDOW_LATE ? 1 : 0);
    in_image = in_y >= 0 && in_y < HEIGHT && in_x >= 0 && in_x < WIDTH;
    tile_address = in_image ? $bits(tile_address)'((in_y * WIDTH + in_x) * CLUSTERS + g) : '0;
  end

  assign codes = in_image ? tile[tile_address] : bug == PADDING_128 ? {CLUSTER{CODE_W'(128)}} : '0;

  always_comb begin
    weight_address = ((o * KERNEL_H + ky) * KERNEL_W + kx) * CLUSTERS + g;
    if (bug == KERNEL_TRANSPOSED) weight_address = ((o * KERNEL_H + kx) * KERNEL_W + ky) * CLUSTERS + g;
    if (bug == KERNEL_FLIPPED)
      weight_address = ((o * KERNEL_H + KERNEL_H - 1 - ky) * KERNEL_W + KERNEL_W - 1 - kx) * CLUSTERS + g;
    if (bug == WEIGHTS_NEXT_OUTPUT)
      weight_address = (((o + 1) % OUTPUTS * KERNEL_H + ky) * KERNEL_W + kx) * CLUSTERS + g;
  end

  function automatic logic signed [CODE_W:0] extended(input logic [CODE_W-1:0] code, input logic is_signed);
    extended = {is_signed & code[CODE_W-1], code};
  endfunction

  // ------------------------------------------------------------------------------- adder/subtractor tree of one tap
  logic signed [SUM_W-1:0] partial[0:CLUSTER]  /* verilator split_var */;
  wire signed [SUM_W-1:0] tree = partial[CLUSTER];
  wire signed [SUM_W-1:0] lane_0 = partial[1];

  assign partial[0] = '0;
  for (genvar lane = 0; lane < CLUSTER; lane++) begin : lanes
    wire signed [SUM_W-1:0] value = SUM_W'(extended(codes[lane*CODE_W+:CODE_W], INPUT_SIGNED ^ (bug == INPUT_OTHER_SIGN)));
    wire [1:0] stored = bug == WEIGHT_LANES ? weight_word[(CLUSTER-1-lane)*2+:2] : weight_word[lane*2+:2];
    wire [1:0] weight = decoded(stored);
    assign partial[lane+1] = weight == 2'b00 ? partial[lane] : weight[1] ? partial[lane] - value : partial[lane] + value;
  end

  function automatic logic [1:0] decoded(input logic [1:0] stored);
    decoded = stored;
    if (bug == CODE_MINUS_LOST && stored == 2'b11) decoded = 2'b00;
    if (bug == CODE_SIGN && stored != 2'b00) decoded = ~stored | 2'b01;
    if (bug == CODE_OFFSET) decoded = stored == 2'b00 ? 2'b11 : stored == 2'b01 ? 2'b00 : 2'b01;
  endfunction

  // ------------------------------------------------------------------------------------- cluster sum and accumulator
  logic signed [SUM_W-1:0] sum, sum_before, late, late_before;
  logic [SCALE_W-1:0] scale_before;
  logic signed [ACC_W-1:0] product, acc, wide, acc_before;

  assign sum  = first_tap ? tree : sum_before + tree;
  assign late = first_tap ? lane_0 : late_before + lane_0;

  always_comb begin
    scale_address = o * CLUSTERS + g;
    if (bug == SCALE_NEXT_CLUSTER) scale_address = o * CLUSTERS + (g + 1) % CLUSTERS;
    if (bug == SCALE_ADDRESS) scale_address = (o * CLUSTERS + g + 1) % (OUTPUTS * CLUSTERS);
    bias_address = bug == BIAS_NEXT_CHANNEL ? (o + 1) % OUTPUTS : o;
  end

  wire signed [ACC_W-1:0] step = g == 0 ? '0 : $signed(ACC_W'(scale_before)) - $signed(ACC_W'(scale));

  always_comb
    case (bug)
      SUM_ZERO_EXTENDED: product = $signed(ACC_W'($unsigned(sum))) * $signed(ACC_W'(scale));
      SCALE_SIGNED: product = ACC_W'(sum) * ACC_W'($signed(scale));
      LAST_CLUSTER: product = last_cluster ? '0 : ACC_W'(sum) * $signed(ACC_W'(scale));
      CLUSTER_LATE: product = ACC_W'(sum) * $signed(ACC_W'(scale)) + ACC_W'(late) * step;
      default: product = ACC_W'(sum) * $signed(ACC_W'(scale));
    endcase

  assign wide = (g != 0 ? acc_before : bug == BIAS_MISSING ? '0 : bias) + product;
  assign acc  = bug == ACCUMULATOR_16 ? ACC_W'($signed(wide[15:0])) : wide;

  always_ff @(posedge clock)
    if (busy) begin
      sum_before  <= sum;
      late_before <= late;
      if (last_tap) acc_before <= acc;
      if (last_tap) scale_before <= scale;
    end

  // ------------------------------------------------------------------------------ requantize, a clock after the last tap
  logic finished;
  logic signed [ACC_W-1:0] accumulator;
  logic signed [TOTAL_W-1:0] aligned, scaled, half, total, rounded;
  logic [SHIFT_W-1:0] right;

  always_ff @(posedge clock) begin
    finished <= busy && !reset && last_tap && last_cluster;
    if (last_tap && last_cluster) begin
      accumulator <= acc;
      factor_address <= o;
      residual_address <= (y * OUT_WIDTH + x) * OUTPUTS + o;
    end
  end

  function automatic logic signed [TOTAL_W-1:0] clipped(input logic signed [TOTAL_W-1:0] value, input int lo, input int hi);
    if (value < TOTAL_W'(lo)) clipped = TOTAL_W'(lo);
    else if (value > TOTAL_W'(hi)) clipped = TOTAL_W'(hi);
    else clipped = value;
  endfunction

  wire signed [TOTAL_W-1:0] added = TOTAL_W'(extended(residual, RESIDUAL_SIGNED));
  assign aligned = !HAS_RESIDUAL || bug == RESIDUAL_MISSING ? '0
      : bug == RESIDUAL_UNSHIFTED ? added : added <<< residual_shift;

  always_comb
    case (bug)
      SHIFT_LESS: right = shift - 1;
      SHIFT_MORE: right = shift + 1;
      default: right = shift;
    endcase

  always_comb
    case (bug)
      ROUND_FLOOR: half = '0;
      ROUND_HALF_TWICE: half = TOTAL_W'(1) <<< right;
      ROUND_HALF_HALVED: half = (TOTAL_W'(1) <<< right) >>> 2;
      default: half = (TOTAL_W'(1) <<< right) >>> 1;
    endcase

  assign scaled = TOTAL_W'(accumulator)
      * (bug == MULTIPLIER_SIGNED ? TOTAL_W'($signed(multiplier)) : $signed(TOTAL_W'(multiplier)));
  wire signed [TOTAL_W-1:0] clipped_first = clipped((scaled + half) >>> right, CLIP_LO, CLIP_HI) <<< right;
  assign total = (bug == RESIDUAL_AFTER_CLIP ? clipped_first : scaled) + aligned;
  assign rounded = (total + half) >>> right;

  always_ff @(posedge clock) begin
    y_valid <= finished;
    y_address <= bug == OUTPUT_REVERSED ? residual_address + OUTPUTS - 1 - 2 * factor_address : residual_address;
    y_accumulator <= accumulator;
    y_total <= total;
    case (bug)
      WRAP: y_code <= rounded < 0 ? '0 : CODE_W'(rounded);
      NO_CLIP: y_code <= CODE_W'(rounded);
      RELU_MISSING: y_code <= CODE_W'(clipped(rounded, -(1 << (CODE_W - 1)), (1 << (CODE_W - 1)) - 1));
      default: y_code <= CODE_W'(clipped(rounded, CLIP_LO, CLIP_HI));
    endcase
  end
endmodule
