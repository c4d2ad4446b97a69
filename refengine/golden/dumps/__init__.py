"""Integers that a device under test wrote: read, named, and compared with the golden ones."""
