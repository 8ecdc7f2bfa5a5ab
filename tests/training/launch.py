"""Several processes: of a test's own module, as torchrun would start them, and by torchrun."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

TIMEOUT_S = 600


def start(
    module: str, world: int, cases: list[dict[str, Any]], folder: Path
) -> list[dict[str, Any]]:
    """Run cases by a module on `world` processes; what each of them says."""
    path = folder / f"cases-{world}.json"
    path.write_text(json.dumps(cases))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", module, str(path)]
    processes = []
    for rank in range(world):
        said = {
            "RANK": rank, "WORLD_SIZE": world, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": world,
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
        }  # fmt: skip
        several = {k: str(v) for k, v in said.items()} if world > 1 else {}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **several}
        processes.append(
            subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        )
    try:
        errors = [process.communicate(timeout=TIMEOUT_S)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert [process.returncode for process in processes] == [0] * world, errors
    return [json.loads((folder / f"cases-{world}.{r}.out").read_text()) for r in range(world)]


def torchrun(store: Path, *words: str) -> subprocess.Popen[str]:
    """A command of llamakit on two processes."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "llamakit", *words, "--store", str(store),
    ]  # fmt: skip
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of a run that ends by itself."""
    try:
        out, errors = run.communicate(timeout=TIMEOUT_S)
    finally:
        run.kill()
        run.communicate()
    return run.returncode, out, errors
