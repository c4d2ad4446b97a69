"""Ctrl-C and SIGTERM end a verb in one line, with no partial file, even where Python would lose them.

An exception that is raised while a C library calls back is dropped.  So a signal is also remembered, and asked for
wherever progress is shown.
"""

import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_received: list[int] = []


def listen() -> None:
    """From now on SIGINT and SIGTERM raise KeyboardInterrupt, at once or at the next ``check``."""
    _set(_receive)


def settle() -> None:
    """From now on neither changes anything: the result stands, and the exit code with it."""
    _set(signal.SIG_IGN)


def check() -> None:
    """KeyboardInterrupt if a signal came since ``listen``."""
    if _received:
        raise KeyboardInterrupt


def received() -> bool:
    """Whether a signal came since ``listen``."""
    return bool(_received)


def exit_code() -> int:
    """128 and the number of the signal, as shells have it."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _set(handler: object) -> None:
    """Handle both, but what the process was told to ignore when it began."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)  # type: ignore[arg-type]


def _receive(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    raise KeyboardInterrupt
