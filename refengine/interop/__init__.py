"""Other programs: networks in their formats, and their engines to compare speeds with.  Their packages are optional."""
