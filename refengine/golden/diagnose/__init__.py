"""The cause of a difference: fault hypotheses, tried on the machine of a layer."""
