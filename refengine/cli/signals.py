"""Ctrl-C and SIGTERM end a verb in one line, with no partial file, even where Python would lose them.

An exception that is raised while a C library calls back is dropped.  So a signal is also remembered, and asked for
wherever progress is shown.
"""

import signal
from types import FrameType

_received: list[int] = []


def listen() -> None:
    """From now on SIGINT and SIGTERM raise KeyboardInterrupt, at once or at the next ``check``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _receive)


def check() -> None:
    """KeyboardInterrupt if a signal came since ``listen``."""
    if _received:
        raise KeyboardInterrupt


def exit_code() -> int:
    """128 and the number of the signal, as shells have it."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _receive(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
