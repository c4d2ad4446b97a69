// Compares a DUT's layer with the golden model, value by value as they come, in any order: the first one that differs ends
// the simulation with its layer, stage and coordinates.  The model has run the image before the first beat of the image.
// A stage that the DUT does not show is left out by its parameter.

module NAME_check
  import NAME_pkg::*;
#(
    parameter int LAYER = 0,
    parameter bit ACCUMULATOR = 1,  // compare the sums before Q
    parameter bit TOTAL = 1,        // compare what is rounded
    parameter bit CODE = 1
) (
    input logic               clock,
    input logic               valid,        // a value is there
    input logic        [31:0] index,        // (y * width + x) * channels + c
    input logic signed [31:0] accumulator,
    input logic signed [63:0] total,
    input logic signed [31:0] code
);
  int beats = 0;  // values that were compared

  task automatic compare(input string stage, input longint golden, input longint got);
    if (golden !== got)
      $fatal(1, "%s: golden %0d, got %0d, value number %0d", element(LAYER, stage, longint'(index)), golden, got, beats);
  endtask

  always @(posedge clock)
    if (valid) begin
      if (ACCUMULATOR)
        compare("accumulator", longint'(NAME_dpi_accumulator(LAYER, longint'(index))), longint'(accumulator));
      if (TOTAL) compare("total", NAME_dpi_total(LAYER, longint'(index)), total);
      if (CODE) compare("code", longint'(NAME_dpi_code(LAYER, longint'(index))), longint'(code));
      beats <= beats + 1;
    end

  // to be called when an image is complete
  task automatic expect_beats(input int wanted);
    if (beats != wanted)
      $fatal(1, "layer %s: %0d values came, wanted %0d", NAME_dpi_name(LAYER), beats, wanted);
  endtask
endmodule
