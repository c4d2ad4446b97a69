// The golden model NAME_ in SystemVerilog: NAME_dpi_pixel for each pixel, NAME_dpi_run, then any integer of any layer.
// Indices count a layer's result as (y * width + x) * channels + c.  Compile NAME_dpi.c as C and link it.
`timescale 1ns / 1ps

package NAME_pkg;
  // which of the numbers are used is up to the testbench
  // verilator lint_off UNUSEDPARAM
  // the layers
  // PARAMETERS

  // constants of a layer, as NAME_dpi_constant numbers them
  localparam int WEIGHT = 0, SCALE = 1, BIAS = 2, MULTIPLIER = 3, SHIFT = 4, RESIDUAL_SHIFT = 5;
  // axes of a layer, as NAME_dpi_size numbers them
  localparam int AXIS_Y = 0, AXIS_X = 1, AXIS_CHANNEL = 2, AXIS_CLUSTER = 3;
  // verilator lint_on UNUSEDPARAM

  import "DPI-C" function void NAME_dpi_pixel(input int index, input int value);
  import "DPI-C" function void NAME_dpi_run(input longint number);
  import "DPI-C" function int NAME_dpi_accumulator(input int layer, input int index);
  import "DPI-C" function longint NAME_dpi_total(input int layer, input int index);
  import "DPI-C" function int NAME_dpi_code(input int layer, input int index);
  import "DPI-C" function int NAME_dpi_exponent(input int layer);
  import "DPI-C" function int NAME_dpi_logit(input int index);
  import "DPI-C" function string NAME_dpi_name(input int layer);
  import "DPI-C" function int NAME_dpi_size(input int layer, input int axis);
  import "DPI-C" function longint NAME_dpi_constant(input int layer, input int kind, input int index);

  // "conv1 code (y 3, x 4, c 5)", for messages
  function automatic string element(input int layer, input string stage, input int index);
    int width, channels;
    width = NAME_dpi_size(layer, AXIS_X);
    channels = NAME_dpi_size(layer, AXIS_CHANNEL);
    return $sformatf("layer %s, %s (y %0d, x %0d, c %0d)", NAME_dpi_name(layer), stage,
                     index / channels / width, index / channels % width, index % channels);
  endfunction
endpackage
