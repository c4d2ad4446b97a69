"""Every error that refengine raises on purpose.

A message says what is, what was needed, and where.  All of them are RefengineError, so a program that catches that one
class sees each refusal and nothing else; the command line prints the message in one line and exits with 2.
"""


class RefengineError(ValueError):
    """Something that was handed in cannot be used."""


class FileError(RefengineError):
    """A file is not what it says it is, is damaged, or asks for more than it may."""


class NetworkError(RefengineError):
    """A network's layers do not fit together: unknown operator, missing input, cycle, wrong shape."""


class RangeError(RefengineError):
    """A number lies outside the range that the contract gives it."""


class AccumulatorOverflow(RefengineError):
    """A layer's sum of magnitudes can leave its accumulator."""


class SchemeError(RefengineError):
    """A quantization scheme names something that does not exist or cannot be done."""
