"""What can go wrong, each with the exit code the command ends with.

An error is one short paragraph: what went wrong, where, and what to do about it.
"""

from __future__ import annotations


class LlamakitError(Exception):
    """A run failed in a way that is understood. Base of all errors llamakit raises on purpose."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        super().__init__(what)

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.what}" if self.where else self.what
        return f"{sentence.rstrip('.')}. {self.fix}" if self.fix else sentence

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders; keyword arguments would otherwise be lost.
        return _rebuild, (type(self), self.what, self.where, self.fix)


class UsageError(LlamakitError):
    """The command line or a config is wrong."""

    exit_code = 2


class InputError(LlamakitError):
    """An input is missing or broken."""

    exit_code = 3


class GateError(LlamakitError):
    """The work was done, but a requirement put on its result is not met."""

    exit_code = 4


class FellowError(Exception):
    """Another process of the same run failed, and all end with it. Its text is empty where that one
    has been heard.
    """

    def __init__(self, text: str, exit_code: int) -> None:
        self.exit_code = exit_code
        super().__init__(text)


class Stopped(BaseException):
    """SIGINT or SIGTERM asked the run to stop; what can be resumed has been saved. SIGPIPE stands
    for a reader of the output who has gone.

    Derives from BaseException, as KeyboardInterrupt does, so that `except Exception` lets it pass.
    """

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(signal)

    @property
    def exit_code(self) -> int:
        """The shell's convention: 130 for SIGINT, 143 for SIGTERM, 141 for SIGPIPE."""
        return 128 + self.signal


def _rebuild(
    kind: type[LlamakitError], what: str, where: str | None, fix: str | None
) -> LlamakitError:
    return kind(what, where=where, fix=fix)


def nearest(word: str, known: list[str]) -> str | None:
    """The known word most like `word`, for "did you mean …?"; None when nothing is close."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return close[0] if close else None
