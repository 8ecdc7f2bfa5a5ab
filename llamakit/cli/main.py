"""The entry point. Only the command that was asked for is built in full, so that help is quick."""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from llamakit import __version__


def main() -> None:
    """Run the `llamakit` command; the process ends here."""
    words = sys.argv[1:]
    if words == ["--version"]:
        # Answered before the command line library is imported.
        print(f"llamakit {__version__}")
        return
    # Threads that spin long while they wait halve the speed of a machine with other work to do; the
    # OpenMP library reads this once, when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "50000")
    # polars holds on to freed memory for a second and a half. A tenth of one costs no time that
    # shows, and lowers the peak of stages that go part by part. Read once too, as polars is loaded.
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:100,muzzy_decay_ms:0")
    _open_streams()
    from llamakit.cli.failures import exit_on_failure

    speaker, tell = _speaker()
    with exit_on_failure(speaker, tell):
        from llamakit.cli.app import build

        completing = any(name.endswith("_COMPLETE") for name in os.environ)
        chosen = None if completing else next((w for w in words if not w.startswith("-")), "")
        build(chosen, root_options=not chosen or words[0] != chosen)()


def _speaker() -> tuple[str, TextIO]:
    """Who says what goes wrong, and where.

    Of the processes that torchrun starts the first one speaks. The others show nothing else: all of
    it would be the same.
    """
    from llamakit.engine.ranks import here

    ranks, tell = here(), sys.stderr
    if ranks.leads:
        return "", tell
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end
    return f"rank {ranks.rank}: ", tell


def _open_streams() -> None:
    """Give a stream that the caller closed (`<&-`, some job schedulers) an empty file to be, and
    let one that cannot show a character (`PYTHONIOENCODING=ascii`) show its code. Bytes on stdin
    that are no text stay, so that whoever reads them can say which."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open until the end
    elif isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif getattr(sys, name).errors == "strict":
            getattr(sys, name).reconfigure(errors="backslashreplace")
