// Compares a DUT's layer with the golden model, value by value as they come, in any order: the first one that differs ends
// the simulation with its layer, stage and coordinates.  The model has run the image before the first beat of the image.
// A stage that the DUT does not show is left out by its parameter.
`timescale 1ns / 1ps

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
    input int                 index,        // (y * width + x) * channels + c
    input logic signed [31:0] accumulator,
    input logic signed [63:0] total,
    input logic signed [31:0] code
);
  int beats = 0;   // values that were compared
  int times[];     // how often the value of each index came

  task automatic compare(input string stage, input longint golden, input longint got);
    if (golden !== got)
      $fatal(1, "%s: golden %0d, got %0d, value number %0d", element(LAYER, stage, index), golden, got, beats);
  endtask

  task automatic beat;
    if (ACCUMULATOR) compare("accumulator", longint'(NAME_dpi_accumulator(LAYER, index)), longint'(accumulator));
    if (TOTAL) compare("total", NAME_dpi_total(LAYER, index), total);
    if (CODE) compare("code", longint'(NAME_dpi_code(LAYER, index)), longint'(code));
    if (times.size() == 0) times = new[elements()];
    times[index]++;
    beats++;
  endtask

  initial
    forever begin
      @(posedge clock);
      if (valid) beat();
    end

  function automatic int elements;
    return NAME_dpi_size(LAYER, AXIS_Y) * NAME_dpi_size(LAYER, AXIS_X) * NAME_dpi_size(LAYER, AXIS_CHANNEL);
  endfunction

  // to be called when so many images are complete: each value has come as often
  task automatic expect_images(input int images);
    if (times.size() == 0) times = new[elements()];
    foreach (times[i])
      if (times[i] != images)
        $fatal(1, "%s: came %0d times in %0d images", element(LAYER, "value", i), times[i], images);
  endtask
endmodule
