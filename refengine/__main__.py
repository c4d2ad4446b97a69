"""``python -m refengine`` and the installed command: the command line, under signal handlers from its first line on.

Nothing but the interpreter's own modules is imported before the handlers stand, because the imports that follow take
most of a short run.  Until a verb begins nothing has been written, so a signal ends the process at once; while it
works, ``cli/signals.py`` ends it in order; and when its result is settled a signal comes too late to change it.
"""

import os
import signal
from types import FrameType


def end_at_once(number: int, frame: FrameType | None) -> None:
    """One line, and the exit code that shells give a process that a signal ended."""
    os.write(2, b"refengine: error: interrupted\n")
    os._exit(128 + number)


def main() -> None:
    """The entry point of the installed command."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in a background job, which Ctrl-C is not meant for
            signal.signal(number, end_at_once)
    from .cli.main import main as command

    command()


if __name__ == "__main__":
    main()
