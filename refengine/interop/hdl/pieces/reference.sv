// A ternary convolution, as refengine's contract has it (docs/contract.md, sections Conv and Requantize):
//
//   sum[g]      = sum over cluster g and the kernel of +x, -x or nothing     (weight 01: +x, 11: -x, 00: nothing)
//   accumulator = bias[o] + sum over g of scale[o, g] * sum[g]
//   total       = accumulator * multiplier[o] + (residual << residual_shift[o])
//   code        = clip((total + half) >>> shift[o]),  half = 1 << shift[o] >> 1
//
// An image and its residual are loaded; then each clock takes one cluster, and each result waits until it is taken.
`timescale 1ns / 1ps

module dut
  import layer_pkg::*;
(
    input  logic                      clock,
    input  logic                      reset,
    input  logic                      x_valid,
    output logic                      x_ready,
    input  logic       [X_WORD_W-1:0] x_word,
    input  logic                      r_valid,
    output logic                      r_ready,
    input  logic       [R_WORD_W-1:0] r_word,
    output logic signed [  ACC_W-1:0] y_accumulator,
    output logic signed [TOTAL_W-1:0] y_total,
    output logic        [ CODE_W-1:0] y_code,
    output logic                      y_valid,
    input  logic                      y_ready
);
  localparam int SUM_W = CODE_W + 1 + $clog2(KERNEL_H * KERNEL_W * CLUSTER);
  localparam int ROUND_W = (TOTAL_W > SHIFT_MAX ? TOTAL_W : SHIFT_MAX) + 2;

  // ------------------------------------------------------------------------------------- constants, as the pack has them
  logic [WEIGHT_WORD_W-1:0] weight_words[0:WEIGHT_WORDS-1];
  logic [1:0] weights[0:WEIGHT_WORDS*WEIGHT_LANES-1];
  logic [SCALE_WORD_W-1:0] scales[0:SCALE_WORDS-1];
  logic [BIAS_WORD_W-1:0] biases[0:BIAS_WORDS-1];
  logic [MULTIPLIER_WORD_W-1:0] multipliers[0:MULTIPLIER_WORDS-1];  // one for all channels, or one each
  logic [SHIFT_WORD_W-1:0] shifts[0:SHIFT_WORDS-1];
  logic [RESIDUAL_SHIFT_WORD_W-1:0] residual_shifts[0:RESIDUAL_SHIFT_WORDS-1];

  initial begin
    $readmemh(WEIGHT_FILE, weight_words);
    for (int i = 0; i < WEIGHT_WORDS * WEIGHT_LANES; i++)
      weights[i] = weight_words[i/WEIGHT_LANES][i%WEIGHT_LANES*WEIGHT_LANE_W+:2];
    $readmemh(SCALE_FILE, scales);
    $readmemh(BIAS_FILE, biases);
    $readmemh(MULTIPLIER_FILE, multipliers);
    $readmemh(SHIFT_FILE, shifts);
    if (HAS_RESIDUAL != 0) $readmemh(RESIDUAL_SHIFT_FILE, residual_shifts);
  end

  // --------------------------------------------------------------------------------- codes of an image, with their signs
  logic signed [CODE_W:0] codes[0:X_WORDS*X_LANES-1];
  logic signed [CODE_W:0] residuals[0:R_WORDS*R_LANES-1];
  int x_count, r_count;

  always_ff @(posedge clock) begin
    if (x_valid && x_ready)
      for (int lane = 0; lane < X_LANES; lane++)
        codes[x_count*X_LANES+lane] <= {
          INPUT_SIGNED != 0 && x_word[lane*X_LANE_W+CODE_W-1], x_word[lane*X_LANE_W+:CODE_W]
        };
    if (r_valid && r_ready)
      for (int lane = 0; lane < R_LANES; lane++)
        residuals[r_count*R_LANES+lane] <= {
          RESIDUAL_SIGNED != 0 && r_word[lane*R_LANE_W+CODE_W-1], r_word[lane*R_LANE_W+:CODE_W]
        };
  end

  // ------------------------------------------------------------------------------------------------------------- control
  typedef enum logic [1:0] {LOAD, ADD, SEND} state_t;
  state_t state;
  int y, x, o, g;
  wire last_cluster = g == CLUSTERS - 1;
  wire last_output = o == OUTPUTS - 1;
  wire last_column = x == OUT_WIDTH - 1;
  wire last_row = y == OUT_HEIGHT - 1;
  wire loaded = x_count == X_WORDS && (HAS_RESIDUAL == 0 || r_count == R_WORDS);

  assign x_ready = state == LOAD && x_count < X_WORDS;
  assign r_ready = state == LOAD && r_count < R_WORDS && HAS_RESIDUAL != 0;
  assign y_valid = state == SEND;

  always_ff @(posedge clock)
    if (reset) begin
      state <= LOAD;
      {x_count, r_count, y, x, o, g} <= '0;
    end else
      case (state)
        LOAD: begin
          if (x_valid && x_ready) x_count <= x_count + 1;
          if (r_valid && r_ready) r_count <= r_count + 1;
          if (loaded) state <= ADD;
        end
        ADD: begin
          g <= last_cluster ? 0 : g + 1;
          if (last_cluster) state <= SEND;
        end
        default:
        if (y_ready) begin
          o <= last_output ? 0 : o + 1;
          if (last_output) x <= last_column ? 0 : x + 1;
          if (last_output && last_column) y <= last_row ? 0 : y + 1;
          if (last_output && last_column && last_row) {x_count, r_count} <= '0;
          state <= last_output && last_column && last_row ? LOAD : ADD;
        end
      endcase

  // -------------------------------------------------------------------------- accumulator: one cluster on each clock
  logic signed [SUM_W-1:0] sum;
  logic signed [ACC_W-1:0] accumulator;
  int row, column, code_at, weight_at;

  always_ff @(posedge clock)
    if (state == ADD) begin
      sum = '0;
      for (int ky = 0; ky < KERNEL_H; ky++)
        for (int kx = 0; kx < KERNEL_W; kx++) begin
          row = y * STRIDE_H + ky - PAD_TOP;
          column = x * STRIDE_W + kx - PAD_LEFT;
          code_at = (row * IN_WIDTH + column) * INPUTS + g * CLUSTER;
          weight_at = o * WEIGHT_STEP_O + g * CLUSTER * WEIGHT_STEP_I + ky * WEIGHT_STEP_H + kx * WEIGHT_STEP_W;
          if (row >= 0 && row < IN_HEIGHT && column >= 0 && column < IN_WIDTH)
            for (int lane = 0; lane < CLUSTER; lane++)
              if (g * CLUSTER + lane < INPUTS)
                case (weights[weight_at+lane*WEIGHT_STEP_I])
                  2'b01: sum = sum + SUM_W'(codes[code_at+lane]);
                  2'b11: sum = sum - SUM_W'(codes[code_at+lane]);
                  default: ;
                endcase
        end
      accumulator <= (g == 0 ? ACC_W'(biases[o]) : accumulator)
          + ACC_W'(sum) * $signed(ACC_W'(SCALE_W'(scales[o*CLUSTERS+g])));
    end

  // ---------------------------------------------------------------------------------------------------------- requantize
  logic signed [CODE_W:0] residual;
  logic signed [TOTAL_W-1:0] aligned;
  logic signed [ROUND_W-1:0] half, rounded, clipped;
  logic [SHIFT_W-1:0] shift;

  always_ff @(posedge clock) residual <= residuals[(y*OUT_WIDTH+x)*OUTPUTS+o];

  assign aligned = HAS_RESIDUAL == 0 ? '0 : TOTAL_W'(residual) <<< residual_shifts[o%RESIDUAL_SHIFT_WORDS];
  assign shift = SHIFT_W'(shifts[o%SHIFT_WORDS]);
  assign half = (ROUND_W'(1) <<< shift) >>> 1;
  assign rounded = (ROUND_W'(y_total) + half) >>> shift;
  assign clipped = rounded < ROUND_W'(CLIP_LO) ? ROUND_W'(CLIP_LO)
      : rounded > ROUND_W'(CLIP_HI) ? ROUND_W'(CLIP_HI) : rounded;

  assign y_accumulator = accumulator;
  assign y_total = TOTAL_W'(accumulator) * $signed(TOTAL_W'(MULTIPLIER_W'(multipliers[o%MULTIPLIER_WORDS]))) + aligned;
  assign y_code = CODE_W'(clipped);
endmodule
