"""A stage run whole, and in another store killed at random many times: the same bytes?

A command is a process of its own, or, where `FORKED` is set, a fork of this one: then what it needs
is loaded once for all of them, and this process must not have computed anything with it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llamakit.cli.main import main

FORKED = False
_POLL_S = 0.02


def llamakit(store: Path, *words: str, kill_after: float | None = None) -> int | None:
    """The exit code of a command, or None where it was killed in time."""
    process = _started(store, words)
    try:
        return process.wait(kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def times(store: Path, *words: str) -> tuple[float, float]:
    """Run a command to its end: the seconds until its draft was there, and until the end."""
    begun = time.monotonic()
    process = _started(store, words)
    drafts = store / ".drafts"
    while process.poll() is None and not (drafts.exists() and any(drafts.iterdir())):
        time.sleep(_POLL_S)
    draft = time.monotonic() - begun
    assert process.wait() == 0, words
    return draft, time.monotonic() - begun


class Fork:
    """A command in a fork of this process."""

    def __init__(self, words: Sequence[str]) -> None:
        sys.stdout.flush()
        self.pid = os.fork()
        self._code: int | None = None
        if self.pid == 0:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = 1
            try:
                sys.argv = ["llamakit", *words]
                main()
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
            finally:
                os._exit(code)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, waited for."""
        until = time.monotonic() + (1e9 if timeout is None else timeout)
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("llamakit", timeout or 0.0)
            time.sleep(_POLL_S)
        return code


def _started(store: Path, words: Sequence[str]) -> subprocess.Popen[bytes] | Fork:
    words = [*words, "--store", str(store), "--quiet"]
    if FORKED:
        return Fork(words)
    return subprocess.Popen(
        [sys.executable, "-m", "llamakit", *words],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def record(store: Path, name: str) -> dict[str, Any]:
    """The record of the one version there must be."""
    versions = sorted(path.name for path in (store / name).iterdir())
    assert versions == ["v1"], versions
    drafts = [path.name for path in (store / ".drafts").iterdir()]
    assert not drafts, drafts
    told: dict[str, Any] = json.loads((store / name / "v1" / "artifact.json").read_text())
    return told


def survives(
    name: str,
    words: Sequence[str],
    whole: Path,
    killed: Path,
    kills: int,
    draw: random.Random,
    varied: Sequence[Sequence[str]] = ((),),
) -> bool:
    """Whether a stage that is killed ends as one that is not; says so in a line.

    It runs once undisturbed; then in another store with SIGKILL at a random moment of its work,
    each run going on where the one before was killed. A version that comes to its end must have the
    same digest, be the only one and leave no draft; it is deleted, until there were as many kills
    as asked.

    Args:
        varied: words that change nothing of the result, taken by turns.
    """
    begun, seconds = times(whole, *words, *varied[-1])
    wanted = record(whole, name)["digest"]
    done = finished = same = 0
    code: int | None = None
    while done < kills or code is None:
        wait = None if done >= kills else draw.uniform(begun, 0.98 * seconds)
        code = llamakit(killed, *words, *varied[done % len(varied)], kill_after=wait)
        if code is None:
            done += 1
            continue
        finished += 1
        same += code == 0 and record(killed, name)["digest"] == wanted
        shutil.rmtree(killed / name)
    print(
        f"{name}: killed {done} times, finished {finished} times:"
        f" {same} times the same digest, one version and nothing stray",
        flush=True,
    )
    return same == finished
