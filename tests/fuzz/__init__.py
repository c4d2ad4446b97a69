"""A fuzzer of everything that refengine reads: small files of a generator, mutated, read in processes that may die."""
