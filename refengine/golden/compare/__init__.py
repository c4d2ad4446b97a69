"""The comparison of two dumps, and its reports."""
