"""TOSA: layers exported, and its reference model as a judge."""
