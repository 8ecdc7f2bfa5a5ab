from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams_do_no_harm(closed: str, tmp_path: Path) -> None:
    command = f'"{sys.executable}" -m llamakit list --store "{tmp_path}" {closed}'
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0
    assert "error" not in done.stderr


def test_bytes_on_stdin_that_are_no_text_are_kept() -> None:
    code = "from llamakit.cli.main import _open_streams; import sys\n"
    code += "_open_streams(); print(ascii(sys.stdin.read()))"
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        input=b"caf\xe9",
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"'caf\\udce9'\n"
