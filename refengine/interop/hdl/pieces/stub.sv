// The device under test: yours.  On each stream a word passes at a rising edge of the clock with valid and ready, and a word
// that is offered stays until it is taken.  layer_pkg has the layer's numbers and the files of its constants.
//
//   x  the codes that the layer reads, as the pack packs them: X_WORDS words of X_LANES codes an image
//   r  the codes of its residual likewise; without one (HAS_RESIDUAL) nothing comes
//   y  the results in the order y, x, channel: LANES of them a beat, the first in the low bits.  What you do not have of
//      them (accumulator, total: what is rounded) goes from the ports here and, with its lines, from testbench.sv.
`timescale 1ns / 1ps

module dut
  import layer_pkg::*;
(
    input  logic                     clock,
    input  logic                     reset,          // high for the first two clocks
    input  logic                     x_valid,
    output logic                     x_ready,
    input  logic [     X_WORD_W-1:0] x_word,
    input  logic                     r_valid,
    output logic                     r_ready,
    input  logic [     R_WORD_W-1:0] r_word,
    output logic [  LANES*ACC_W-1:0] y_accumulator,  //: accumulator
    output logic [LANES*TOTAL_W-1:0] y_total,        //: total
    output logic [ LANES*CODE_W-1:0] y_code,         //: code
    output logic                     y_valid,
    input  logic                     y_ready
);
  assign x_ready = 0;
  assign r_ready = 0;
  assign y_valid = 0;
  assign y_accumulator = '0;  //: accumulator
  assign y_total = '0;  //: total
  assign y_code = '0;  //: code
endmodule
