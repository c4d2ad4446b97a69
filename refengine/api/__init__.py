"""The public functions, one a file: what ``refengine.load``, ``refengine.quantize`` and the command line call."""
