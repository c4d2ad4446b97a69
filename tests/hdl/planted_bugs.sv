// Mistakes that ternary_conv makes when it is told to; what each does is to be seen where the layer looks at it.
`timescale 1ns / 1ps

package planted_bugs;
  typedef enum logic [5:0] {
    NONE,
    ROUND_FLOOR,           // half is not added
    ROUND_HALF_TWICE,      // half is one bit too far left
    ROUND_HALF_HALVED,     // half is one bit too far right
    SHIFT_LESS,            // shift is one too small
    SHIFT_MORE,            // shift is one too large
    WRAP,                  // the lowest 8 bits after the ReLU
    NO_CLIP,               // the lowest 8 bits of everything
    RELU_MISSING,          // saturates as a signed byte
    MULTIPLIER_SIGNED,     // multiplier declared signed
    SUM_ZERO_EXTENDED,     // the cluster's sum loses its sign where it meets the multiplier
    SCALE_NEXT_CLUSTER,    // scale of cluster g + 1
    SCALE_ADDRESS,         // scale memory read one address ahead
    SCALE_SIGNED,          // 7-bit scale declared signed
    LAST_CLUSTER,          // the last cluster is never added
    CLUSTER_LATE,          // the first channel of a cluster still gets the scale of the one before
    CODE_MINUS_LOST,       // 11 means 0
    CODE_OFFSET,           // codes decoded by another table: 00 is -1, 01 is 0, the rest +1
    CODE_SIGN,             // 01 subtracts and 11 adds
    WEIGHT_LANES,          // first channel taken from the high bits of the word
    KERNEL_TRANSPOSED,     // ky and kx exchanged in the weight address
    KERNEL_FLIPPED,        // true convolution
    WEIGHTS_NEXT_OUTPUT,   // weight memory read for output o + 1
    BIAS_MISSING,
    BIAS_NEXT_CHANNEL,
    RESIDUAL_MISSING,
    RESIDUAL_UNSHIFTED,    // added without its alignment
    RESIDUAL_AFTER_CLIP,
    PADDING_128,
    INPUT_OTHER_SIGN,      // bytes that come in extended with the wrong sign
    ACCUMULATOR_16,        // 16 bits, wraps
    LAST_ROW,              // the last row of the tile buffer is never written
    STALE_ROW,             // the last row of the tile buffer is written for the first image alone
    WINDOW_LATE,           // every window one column too far right
    OUTPUT_REVERSED,       // written channel after channel in the reverse order
    LAST_BUG
  } bug_t;
endpackage
