"""From a float network to an integer one: fold, calibrate, cluster, re-estimate.  The only room that sees both."""
