"""The project's checks and studies: `nox -l` lists them.

Sessions run in the environment nox itself is in, the one that `pip install -e ".[dev]"` made:
torch is too large to install once a session.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "docs", "tests"]


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after -- go to pytest."""
    # One thread a worker: two workers that each take every core only slow each other down.
    session.run("pytest", "-n", "2", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def cluster(session: nox.Session) -> None:
    """Run the stages that work by shards on a Ray cluster of two nodes, simulated on this machine:
    same payloads, killed workers, a lost node, Ctrl-C."""
    session.run("pytest", "-m", "cluster", "tests/engine", *session.posargs)


@nox.session
def gguf(session: nox.Session) -> None:
    """Build llama.cpp with its Python binding, once (ten minutes or more), and let it run what
    `llamakit export --format gguf` writes."""
    folder = session.cache_dir / "llama-cpp"
    if not (folder / "llama_cpp").is_dir():
        # --no-deps: what else it asks for is there, or not used.
        session.run("pip", "install", "--no-deps", "--target", str(folder),
                    "llama-cpp-python==0.3.36", "diskcache>=5.6",
                    env={"CMAKE_ARGS": "-DLLAVA_BUILD=OFF"})  # fmt: skip
    session.run("pytest", "-m", "llama_cpp", "tests/model/exchange", *session.posargs,
                env={"PYTHONPATH": str(folder)})  # fmt: skip


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, and that only one file calls the polars operations that can lose row order."""
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("pytest", "-q", "tests/test_order.py")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Check that imports only go down."""
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Check that the docs' help texts, file tree and links are true; `-- write` renews them."""
    session.run("python", "docs/build.py", *session.posargs)


@nox.session
def tiny(session: nox.Session) -> None:
    """Run the whole recipe on the embedded world."""
    session.run("llamakit", "run", "tiny", *session.posargs)


@nox.session
def real(session: nox.Session) -> None:
    """Run the whole recipe on real files: `nox -s real -- --set params.data=FOLDER`."""
    session.run("llamakit", "run", "real", *session.posargs)


@nox.session
def ppo_details(session: nox.Session) -> None:
    """Measure what each detail of PPO is worth: the tables of its method page, in minutes."""
    session.run("python", "-m", "tests.bench.ppo_details", "--iterations", "20", *session.posargs)
    session.run("python", "-m", "tests.bench.ppo_detail_errors")
