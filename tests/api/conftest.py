"""The public functions work on the files of ``verb_files``."""

from verb_files import files, made

__all__ = ["files", "made"]
