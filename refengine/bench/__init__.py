"""The measurement of speed, beside production int8 engines."""
