"""ONNX: files read and converted, networks exported, and its engines."""
