"""From an exception to one short paragraph and an exit code: the one table of it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO

from llamakit.errors import FellowError, LlamakitError, Stopped
from llamakit.events import Events

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def explain(error: BaseException) -> tuple[str, int]:
    """The paragraph and the exit code for an exception that reached the front door."""
    if isinstance(error, Stopped):
        if error.signal == signal.SIGPIPE:
            return "", error.exit_code  # nobody is left to tell
        name = signal.Signals(error.signal).name
        return f"stopped by {name}; the same command continues where it was", error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "stopped by SIGINT; the same command continues where it was", 130
    if isinstance(error, FellowError):
        return str(error), error.exit_code
    if isinstance(error, LlamakitError):
        return f"error: {error}", error.exit_code
    if _is_disk_full(error):
        full = getattr(error, "filename", None)
        where = f" ({full})" if full else ""
        return (
            f"error: the disk is full{where}. Free some space (`llamakit gc` lists what can go) "
            "and run the same command: it continues, and reuses what is made.",
            1,
        )
    if isinstance(error, PermissionError):
        return f"error: {error.filename}: permission denied. Check who owns it.", 3
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return (
            f"error: {error.filename}: the file system is read-only. Name another store (--store).",
            1,
        )
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return "error: a file would be larger than is allowed here (`ulimit -f` tells).", 1
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        shown = str(error.filename)
        shown = shown if len(shown) <= 100 else f"{shown[:100]}…"
        return f"error: {shown}: no file or artifact can have a name as long as this.", 3
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"error: {error.filename}: {error.strerror.lower()}.", 1
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "error: out of memory. Use a smaller micro-batch, fewer workers or a smaller model; "
            "the same command continues where it was.",
            1,
        )
    kind = type(error).__name__
    return f"error: unexpected {kind}: {error}. LLAMAKIT_DEBUG=1 shows the traceback.", 1


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # The libraries that write weights and tables have errors of their own for it.
    return os.strerror(errno.ENOSPC) in str(error)


@contextmanager
def exit_on_failure(speaker: str = "", tell: TextIO | None = None) -> Iterator[None]:
    """End the process with the right code and paragraph whatever the block raises.

    Args:
        speaker: who says the paragraph, where several processes might.
        tell: where it is said, stderr by default.

    SIGINT and SIGTERM raise `Stopped` from here on, so that a stop while libraries still load ends
    as one during the work does; what to do instead is `stoppable`'s.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, _stop_at_once)
    try:
        with reader_gone_is_a_stop():
            try:
                yield
            finally:
                _flush_results()
    except (Exception, Stopped, KeyboardInterrupt) as error:
        _forget_output()
        text, code = explain(error)
        with suppress(OSError):  # stderr may be closed, or on the full disk itself
            if os.environ.get("LLAMAKIT_DEBUG"):
                traceback.print_exc(file=tell or sys.stderr)
            if text:
                print(speaker + text, file=tell or sys.stderr)
        sys.exit(code)
    finally:
        # What is left to do is the interpreter's own: it stops as any process does.
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def reader_gone_is_a_stop() -> Iterator[None]:
    """Turn a closed pipe (`llamakit list | head -1`) into the stop that it is: Typer would end with
    1, as if the work had failed."""
    try:
        yield
    except BrokenPipeError:
        raise Stopped(signal.SIGPIPE) from None


def _stop_at_once(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)


def _flush_results() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LlamakitError(
            f"the result could not be written to stdout ({error.strerror})",
            fix="`llamakit list` shows what was made.",
        ) from None


def _forget_output() -> None:
    """Send what stdout still holds nowhere if it cannot be written: the interpreter would complain
    of it on its way out."""
    with suppress(OSError, ValueError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def stoppable(events: Events, *, once: bool = False) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `events.stop` while the block runs.

    Args:
        once: a signal that comes again is the same one. torchrun passes on what a scheduler has
            sent to every process already, and ends by itself whoever takes too long.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        if not (once and events.stopping):
            events.stop(number)

    before = {number: signal.signal(number, on_signal) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
