// The project's own ternary layer as the DUT of a testbench that 'refengine export --dpi' writes; +bug=NUMBER plants a mistake.
`timescale 1ns / 1ps

module dut
  import planted_bugs::*;
#(
    parameter int HEIGHT = 8,
    parameter int WIDTH = 8,
    parameter int INPUTS = 8,
    parameter int OUTPUTS = 8,
    parameter int KERNEL_H = 3,
    parameter int KERNEL_W = 3,
    parameter int STRIDE_H = 1,
    parameter int STRIDE_W = 1,
    parameter int PAD_TOP = 1,
    parameter int PAD_LEFT = 1,
    parameter int OUT_HEIGHT = 8,
    parameter int OUT_WIDTH = 8,
    parameter int CLUSTER = 4,
    parameter int CODE_W = 8,
    parameter int SCALE_W = 7,
    parameter int ACC_W = 32,
    parameter int TOTAL_W = 64,
    parameter int MULTIPLIER_W = 8,
    parameter int SHIFT_W = 6,
    parameter bit INPUT_SIGNED = 0,
    parameter bit RESIDUAL_SIGNED = 0,
    parameter bit HAS_RESIDUAL = 1,
    parameter int CLIP_LO = 0,
    parameter int CLIP_HI = 255
) (
    input  logic                            clock,
    input  logic                            reset,
    input  logic                            x_valid,
    input  logic [      CLUSTER*CODE_W-1:0] x_word,
    input  logic                            start,
    output logic                            busy,
    output logic [                    31:0] weight_address,
    input  logic [           CLUSTER*2-1:0] weight_word,
    output logic [                    31:0] scale_address,
    input  logic [             SCALE_W-1:0] scale,
    output logic [                    31:0] bias_address,
    input  logic signed [        ACC_W-1:0] bias,
    output logic [                    31:0] factor_address,
    input  logic [        MULTIPLIER_W-1:0] multiplier,
    input  logic [             SHIFT_W-1:0] shift,
    input  logic [             SHIFT_W-1:0] residual_shift,
    output logic [                    31:0] residual_address,
    input  logic [              CODE_W-1:0] residual,
    output logic                            y_valid,
    output logic [                    31:0] y_address,
    output logic signed [        ACC_W-1:0] y_accumulator,
    output logic signed [      TOTAL_W-1:0] y_total,
    output logic [              CODE_W-1:0] y_code
);
  int number;
  logic [5:0] bug;

  initial begin
    if (!$value$plusargs("bug=%d", number)) number = 0;
    if (number >= int'(LAST_BUG)) $fatal(1, "bugs are 0..%0d", int'(LAST_BUG) - 1);
    bug = 6'(number);
  end

  ternary_conv #(
      .HEIGHT(HEIGHT), .WIDTH(WIDTH), .INPUTS(INPUTS), .OUTPUTS(OUTPUTS), .KERNEL_H(KERNEL_H), .KERNEL_W(KERNEL_W),
      .STRIDE_H(STRIDE_H), .STRIDE_W(STRIDE_W), .PAD_TOP(PAD_TOP), .PAD_LEFT(PAD_LEFT), .OUT_HEIGHT(OUT_HEIGHT),
      .OUT_WIDTH(OUT_WIDTH), .CLUSTER(CLUSTER), .CODE_W(CODE_W), .SCALE_W(SCALE_W), .ACC_W(ACC_W), .TOTAL_W(TOTAL_W),
      .MULTIPLIER_W(MULTIPLIER_W), .SHIFT_W(SHIFT_W), .INPUT_SIGNED(INPUT_SIGNED),
      .RESIDUAL_SIGNED(RESIDUAL_SIGNED), .HAS_RESIDUAL(HAS_RESIDUAL), .CLIP_LO(CLIP_LO), .CLIP_HI(CLIP_HI)
  ) layer (
      .*
  );
endmodule
