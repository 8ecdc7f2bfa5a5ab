"""The command as a stranger uses it: a process, its two streams and its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

SMALL = ["--docs", "40"]


def llamakit(*words: str, cwd: Path, env: dict[str, str] | None = None, stdin: str = ""):
    """Run the command; its store is `artifacts` in `cwd`."""
    return subprocess.run(
        [sys.executable, "-m", "llamakit", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        input=stdin,
        env={**os.environ, **(env or {})},
        check=False,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose store holds one small world."""
    folder = tmp_path_factory.mktemp("home")
    done = llamakit("world", *SMALL, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "artifacts/world/v1\n"
    return folder


def test_reuse_is_said_on_stderr_and_the_path_on_stdout(home: Path) -> None:
    done = llamakit("world", *SMALL, cwd=home)
    assert (done.returncode, done.stdout) == (0, "artifacts/world/v1\n")
    assert "reused world:v1" in done.stderr


def test_quiet_says_nothing(home: Path) -> None:
    assert llamakit("world", *SMALL, "--quiet", cwd=home).stderr == ""


def test_json_prints_the_record(home: Path) -> None:
    done = llamakit("world", *SMALL, "--json", cwd=home)
    assert json.loads(done.stdout)["kind"] == "raw"


def test_several_values_in_one_flag_are_told_apart(home: Path) -> None:
    done = llamakit("mix", "world", "--weights", "a=1,b=2", cwd=home)
    assert done.returncode == 2
    assert "Repeat the flag: --weights a=1 --weights b=2." in done.stderr


def test_no_colour_codes_in_pipes_even_in_ci(home: Path) -> None:
    done = llamakit("world", "--docs", "41", cwd=home, env={"GITHUB_ACTIONS": "true"})
    assert done.returncode == 0
    assert "\x1b" not in done.stderr + done.stdout


def test_store_by_flag_and_by_environment(home: Path, tmp_path: Path) -> None:
    by_flag = llamakit("list", "--store", str(home / "artifacts"), cwd=tmp_path)
    by_env = llamakit("list", cwd=tmp_path, env={"LLAMAKIT_STORE": str(home / "artifacts")})
    assert "world:v" in by_flag.stdout
    assert by_flag.stdout == by_env.stdout


def test_flags_over_file_over_defaults(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    file.write_text("docs = 50\nseed = 3\n")
    done = llamakit("world", "--config", str(file), "--seed", "4", "--show-config", cwd=home)
    shown = tomllib.loads(done.stdout)
    assert (shown["docs"], shown["seed"]) == (50, 4)


def test_dry_run_runs_nothing(home: Path) -> None:
    done = llamakit("world", "--docs", "77", "--dry-run", cwd=home)
    assert json.loads(done.stdout)["would"] == "run"
    again = llamakit("world", *SMALL, "--dry-run", cwd=home)
    assert json.loads(again.stdout)["would"] == "reuse world:v1"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["wrld"], 2, "Did you mean 'world'"),
        (["world", "--dosc", "4"], 2, "--docs"),
        (["world", "--docs", "many"], 2, "valid integer"),
        (["world", "--docs", "-5"], 2, "docs = -5"),
        (["world", "extra"], 2, "extra"),
        (["world", "--name", "v1"], 2, "cannot name an artifact"),
        (["dedup"], 2, "'documents' must be given"),
        (["dedup", "nothing"], 3, "no artifact 'nothing'"),
        (["dedup", "world"], 3, "is raw"),
        (["show", "wrld"], 3, "Did you mean 'world'"),
        (["show", "world:v99"], 3, "has no version or tag 'v99'"),
        (["world", "--config", "absent.toml"], 3, "no such config file"),
        (["run", "absent"], 3, "no pipeline file 'absent'"),
        (["run", "."], 3, "this is a folder"),
        (["show", "world:"], 3, "has no version or tag ''"),
        (["show", "w" * 5000], 3, "no artifact 'www"),
        (["ingest", "absent.jsonl", "--as", "documents"], 3, "absent.jsonl"),
        (["generate", "world", "hello"], 3, "is raw, a model is needed"),
    ],
)
def test_errors_teach(home: Path, words: list[str], code: int, says: str) -> None:
    done = llamakit(*words, cwd=home)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_inputs_as_words_win_over_the_file(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "d.toml"
    # Some editors begin a file with a byte order mark.
    file.write_text("documents = 'absent'\nsimilarity = 0.5\n", encoding="utf-8-sig")
    shown = llamakit("dedup", "given", "--config", str(file), "--show-config", cwd=home)
    assert tomllib.loads(shown.stdout)["documents"] == "given"
    assert tomllib.loads(shown.stdout)["similarity"] == 0.5
    file.write_text("documents = 'mine'\n")
    both = llamakit("tokenize", "words", "--config", str(file), "--show-config", cwd=home)
    found = tomllib.loads(both.stdout)
    assert (found["documents"], found["vocabulary"]) == ("mine", "words")
    many = llamakit("dedup", "a", "b", "--config", str(file), cwd=home)
    assert many.returncode == 2
    assert "2 inputs given, wanted: DOCUMENTS" in many.stderr


def test_wrong_config_key_is_corrected(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.toml"
    file.write_text("dosc = 50\n")
    done = llamakit("world", "--config", str(file), cwd=home)
    assert done.returncode == 2
    assert "Did you mean 'docs'" in done.stderr


def test_debug_shows_the_traceback(home: Path) -> None:
    done = llamakit("show", "nothing", cwd=home, env={"LLAMAKIT_DEBUG": "1"})
    assert done.returncode == 3
    assert "Traceback" in done.stderr


def test_upkeep_commands(home: Path) -> None:
    made = llamakit("world", *SMALL, "--name", "small", cwd=home).stdout.strip()
    assert llamakit("tag", "small", "good", cwd=home).stdout == "small:good\n"
    assert llamakit("show", "small:good", "--json", cwd=home).returncode == 0
    assert "small:v1" in llamakit("lineage", "small", cwd=home).stdout
    assert "graph LR" in llamakit("lineage", "small", "--format", "mermaid", cwd=home).stdout
    assert "do not differ" in llamakit("diff", "small", "world:v1", cwd=home).stdout
    other = llamakit("world", *SMALL, "--name", "other", "--entities", "30", cwd=home)
    assert other.returncode == 0
    rows = llamakit("diff", "small", "other", cwd=home).stdout.splitlines()
    assert "config\tentities\tnot set\t30" in rows
    page = home / "diff.html"
    done = llamakit("diff", "small", "other", "--html", str(page), cwd=home)
    assert done.stdout.splitlines() == rows
    assert "no curves" in page.read_text()
    assert ">entities<" in page.read_text()
    assert llamakit("verify", "small", cwd=home).returncode == 0
    file = next((home / made).glob("*.jsonl"))
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    broken = llamakit("verify", "small", cwd=home)
    assert broken.returncode == 4
    assert file.name in broken.stdout
    gone = llamakit("gc", "--json", cwd=home)
    assert json.loads(gone.stdout)["deleted"] is False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_exit_with_their_codes(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "llamakit", "world", "--docs", "200000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    drafts = tmp_path / "artifacts" / ".drafts"
    deadline = time.monotonic() + 60
    while not drafts.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out == ""
    assert "the same command continues" in err
    assert not (tmp_path / "artifacts" / "world").exists()


def test_a_stop_while_libraries_load_says_so(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; sys.argv = ['llamakit', 'list']\n"
        "class Late:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Late())\n"
        "from llamakit.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("stopped by SIGINT")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["show world --json", "--help", "list"])
def test_a_reader_who_leaves_ends_it_quietly(home: Path, words: str) -> None:
    # The pipe's reader is gone before anything is written.
    command = f"exec 3> >(true); wait $!; '{sys.executable}' -m llamakit {words} >&3; echo $?"
    done = subprocess.run(
        ["bash", "-c", command], cwd=home, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("141\n", "")


def test_a_result_that_cannot_be_written_is_told(home: Path) -> None:
    command = f"'{sys.executable}' -m llamakit list > /dev/full"
    done = subprocess.run(
        ["bash", "-c", command], cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_one_broken_record_does_not_hide_the_others(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert llamakit("world", *SMALL, "--name", name, cwd=tmp_path).returncode == 0
    (tmp_path / "artifacts/one/v1/artifact.json").write_text("{")
    listed = llamakit("list", cwd=tmp_path)
    assert listed.returncode == 0
    assert "two:v1" in listed.stdout
    assert "one/v1/artifact.json: the record cannot be read" in listed.stderr
    verified = llamakit("verify", cwd=tmp_path)
    assert verified.returncode == 4
    assert "one:v1  damaged" in verified.stdout
    assert "two:v1  whole" in verified.stdout


@pytest.mark.parametrize("words", [("generate", "x", "y"), ("chat", "x"), ("pretrain", "x")])
def test_a_negative_seed_is_a_wrong_usage(home: Path, words: tuple[str, ...]) -> None:
    done = llamakit(*words, "--seed", "-1", cwd=home)
    assert done.returncode == 2
    assert "seed" in done.stderr


def test_show_has_a_row_for_each_of_several_inputs(home: Path) -> None:
    for name in ("one", "two"):
        llamakit(
            "ingest", "world/documents.jsonl", "--as", "documents", "--source", name,
            "--name", name, cwd=home,
        )  # fmt: skip
    llamakit("mix", "one", "two", "--by", "input", "--name", "both", cwd=home)
    shown = llamakit("show", "both", cwd=home).stdout
    assert "  documents  one:v1  " in shown
    assert "  documents  two:v1  " in shown
