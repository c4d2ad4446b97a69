"""Code formats, rounding, requantization: every rounding and every clip of refengine happens in this room."""
