"""The entry point. Only the command that was asked for is built in full, so that help is quick."""

from __future__ import annotations

import os
import sys

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
    _open_closed_streams()
    from llamakit.cli.failures import exit_on_failure

    with exit_on_failure():
        from llamakit.cli.app import build

        completing = any(name.endswith("_COMPLETE") for name in os.environ)
        chosen = None if completing else next((w for w in words if not w.startswith("-")), "")
        build(chosen)()


def _open_closed_streams() -> None:
    """Give a stream that the caller closed (`<&-`, some job schedulers) an empty file to be, and
    let one that cannot show a character (`PYTHONIOENCODING=ascii`) show its code."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - open until the end
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif getattr(sys, name).errors == "strict":
            getattr(sys, name).reconfigure(errors="backslashreplace")
