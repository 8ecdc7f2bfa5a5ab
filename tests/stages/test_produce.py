from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from letters import Joined, Letters

from llamakit.artifacts import lock
from llamakit.artifacts.store import DRAFTS, Store
from llamakit.artifacts.upkeep import (
    ABSENT,
    differences,
    find_garbage,
    lineage,
    remove,
    tag,
    verify,
)
from llamakit.errors import InputError, LlamakitError, UsageError
from llamakit.stages import produce as produce_module
from llamakit.stages.produce import prepare, produce


def test_same_config_is_reused_and_a_change_makes_the_next_version(store: Store) -> None:
    first = produce(Letters(), store)
    again = produce(Letters(), store)
    changed = produce(Letters(times=5), store)
    assert (first.reused, again.reused, changed.reused) == (False, True, False)
    assert again.version.reference == "letters:v1"
    assert changed.version.reference == "letters:v2"


def test_scratch_that_a_kill_left_beside_a_whole_version_goes_with_the_next_run(
    store: Store,
) -> None:
    fingerprint = produce(Letters(), store).version.record.fingerprint
    draft = store.root / DRAFTS / fingerprint
    (draft / "work").mkdir(parents=True)
    (draft / "work" / "shard").write_text("done")
    with lock.held(draft.with_name(f"{fingerprint}.lock")):
        assert produce(Letters(), store).reused
    assert draft.exists()  # somebody works on it
    assert produce(Letters(), store).reused
    assert list((store.root / DRAFTS).iterdir()) == []
    (draft / "version").mkdir(parents=True)  # of a run that is to make another version
    assert produce(Letters(), store).reused
    assert draft.exists()


def test_execution_stays_out_of_the_fingerprint(store: Store) -> None:
    assert (
        prepare(Letters(workers=1), store).fingerprint
        == prepare(Letters(workers=9), store).fingerprint
    )


def test_force_makes_a_new_version_with_the_same_digest(store: Store) -> None:
    first = produce(Letters(), store)
    forced = produce(Letters(), store, force=True)
    assert forced.version.reference == "letters:v2"
    assert forced.version.digest == first.version.digest


def test_equal_bytes_upstream_change_nothing_downstream(store: Store) -> None:
    produce(Letters(), store)
    before = prepare(Joined(first="letters"), store).fingerprint
    produce(Letters(), store, force=True)
    assert prepare(Joined(first="letters"), store).fingerprint == before


def test_a_pipe_and_a_name_without_text_are_refused(store: Store, tmp_path: Path) -> None:
    produce(Letters(), store)
    pipe = tmp_path / "pipe.txt"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="a pipe or a device"):
        produce(Joined(first="letters", files=(str(pipe),)), store)
    folder = tmp_path / "folder"
    folder.mkdir()
    odd = folder / "odd\udcff.txt"
    try:
        odd.write_text("x")
    except OSError:
        pytest.skip("this file system refuses such names")
    for path in (odd, folder):
        with pytest.raises(InputError, match=r"odd\\udcff\.txt: the name is not UTF-8"):
            produce(Joined(first="letters", files=(str(path),)), store)


def test_damaged_inputs_are_found_before_they_are_read(store: Store) -> None:
    letters = produce(Letters(), store).version
    whole = produce(Joined(first="letters"), store)
    (letters.path / "a.txt").write_text("xxx")
    assert produce(Joined(first="letters"), store).version.path == whole.version.path
    for stage in (Joined(first="letters", files=("letters",)), Joined(first="letters")):
        with pytest.raises(InputError, match=r"a\.txt: the file's bytes changed.*letters:v1"):
            produce(stage, store, force=True)
    (letters.path / "a.txt").unlink()
    with pytest.raises(InputError, match=r"a\.txt: the file is missing"):
        produce(Joined(first="letters"), store, force=True)
    assert store.numbers("joined") == [1]
    assert not list((store.root / DRAFTS).iterdir())


def test_references(store: Store) -> None:
    one = produce(Letters(), store).version
    two = produce(Letters(letter="b"), store).version
    tag(store, one, "good")
    assert store.resolve("letters").path == two.path
    assert store.resolve("letters:v1").path == one.path
    assert store.resolve("letters:good").path == one.path
    assert store.resolve(str(one.path)).path == one.path
    with pytest.raises(InputError, match="has no version or tag 'v9'"):
        store.resolve("letters:v9")
    with pytest.raises(InputError, match="Did you mean 'letters'"):
        store.resolve("leters")
    with pytest.raises(UsageError):
        tag(store, one, "v7")


def test_inputs_of_all_roles(store: Store, tmp_path: Path) -> None:
    produce(Letters(), store)
    produce(Letters(letter="b"), store, name="bees")
    (tmp_path / "c.txt").write_text("ccc")
    stage = Joined(first="letters", others=("bees",), files=(str(tmp_path / "c.txt"), "bees/a.txt"))
    version = produce(stage, store).version
    assert (version.path / "a.txt").read_text() == "aaabbbcccbbb"
    roles = [(entry.role, entry.reference) for entry in version.record.inputs]
    assert roles == [
        ("first", "letters:v1"),
        ("others", "bees:v1"),
        ("files", str(tmp_path / "c.txt")),
        ("files", "bees:v1"),
    ]
    tree = lineage(store, version)
    assert [node.reference for node in tree.inputs] == [reference for _, reference in roles]


def test_a_file_in_a_version_keeps_its_lineage_when_named_by_path(store: Store) -> None:
    version = produce(Letters(), store).version
    by_name = prepare(Joined(first="letters", files=("letters/a.txt",)), store)
    by_path = prepare(Joined(first="letters", files=(str(version.path / "a.txt"),)), store)
    assert by_name.fingerprint == by_path.fingerprint
    assert by_path.entries[-1].reference == "letters:v1"


def test_wrong_kind_and_missing_inputs(store: Store) -> None:
    produce(Letters(), store)
    with pytest.raises(InputError, match="missing must be documents, letters:v1 is raw"):
        prepare(Joined(first="letters", missing="letters"), store)
    with pytest.raises(InputError, match="no artifact 'nothing'"):
        prepare(Joined(first="nothing"), store)
    with pytest.raises(InputError, match="no such file"):
        prepare(Joined(first="letters", files=("./absent.txt",)), store)
    with pytest.raises(InputError, match=r"holds no file 'b\.txt'"):
        prepare(Joined(first="letters", files=("letters/b.txt",)), store)


def test_a_failed_run_leaves_no_version(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LlamakitError("no luck")

    monkeypatch.setattr(Letters, "run", fail)
    with pytest.raises(LlamakitError, match="no luck"):
        produce(Letters(), store)
    assert store.names() == []
    monkeypatch.undo()
    assert produce(Letters(), store).version.reference == "letters:v1"
    assert list((store.root / DRAFTS).iterdir()) == []


def test_names_are_checked(store: Store) -> None:
    for bad in ("v3", "a/b", "", "..", ".hidden", "a:b"):
        with pytest.raises(UsageError):
            produce(Letters(), store, name=bad or "/")


def test_verify_finds_one_flipped_byte_a_missing_and_a_stray_file(store: Store) -> None:
    version = produce(Letters(), store).version
    assert verify(version) == []
    (version.path / "a.txt").write_text("aba")
    assert [d.problem for d in verify(version)] == ["its bytes changed (sha256 differs)"]
    (version.path / "a.txt").write_text("aaa")
    (version.path / "stray").write_text("")
    assert [d.path for d in verify(version)] == ["stray"]
    (version.path / "stray").unlink()
    (version.path / "a.txt").unlink()
    assert [d.problem for d in verify(version)] == ["missing"]


def test_a_broken_record_is_named(store: Store) -> None:
    version = produce(Letters(), store).version
    (version.path / "artifact.json").write_text("{")
    with pytest.raises(InputError, match=r"artifact\.json"):
        store.resolve("letters")


def test_differences_name_keys(store: Store) -> None:
    a = produce(Letters(), store).version
    b = produce(Letters(times=4), store).version
    found = {(d.section, d.key): (d.left, d.right) for d in differences(a, b)}
    assert found["config", "times"] == (3, 4)
    assert ("content", "digest") in found


def test_a_key_that_one_side_lacks_is_absent_and_not_none(store: Store) -> None:
    a = produce(Letters(), store).version
    b = produce(Joined(first="letters"), store).version
    found = {d.key: d for d in differences(a, b) if d.section == "config"}
    assert found["times"].right is ABSENT
    assert "right" not in found["times"].to_json()


@pytest.mark.parametrize("break_", [Path.unlink, lambda path: path.write_text("cut short")])
def test_a_damaged_version_is_made_again_and_not_reused(
    store: Store, break_: Callable[[Path], object]
) -> None:
    first = produce(Letters(), store).version
    break_(first.path / "a.txt")
    second = produce(Letters(), store)
    assert (second.reused, second.version.reference) == (False, "letters:v2")
    assert second.version.digest == first.digest
    assert produce(Letters(), store).reused


def test_a_version_removed_half_way_keeps_its_number_and_is_garbage(store: Store) -> None:
    first = produce(Letters(), store).version
    (first.path / "artifact.json").unlink()
    assert [garbage.path for garbage in find_garbage(store)] == [first.path]
    assert produce(Letters(), store).version.reference == "letters:v2"
    for garbage in find_garbage(store):
        remove(garbage)
    assert not first.path.exists()


def test_gc_keeps_newest_tagged_and_ancestors(store: Store) -> None:
    old = produce(Letters(letter="z"), store).version
    used = produce(Letters(), store).version
    produce(Joined(first="letters"), store)
    tagged = produce(Letters(letter="t"), store).version
    tag(store, tagged, "kept")
    produce(Letters(letter="n"), store)
    (store.root / DRAFTS / "dead" / "work").mkdir(parents=True)
    found = find_garbage(store)
    assert {g.path.name for g in found} == {"dead", old.path.name}
    for garbage in found:
        remove(garbage)
    assert find_garbage(store) == []
    assert verify(used) == []


def test_lineage_follows_contents_and_not_names(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    produce(Letters(), store)
    Path("letters").write_text("a file that is called like an artifact")
    by_file = produce(Joined(first="letters:v1", files=("letters",)), store).version
    assert [node.version is not None for node in lineage(store, by_file).inputs] == [True, False]


def test_a_number_given_again_is_no_ancestor(store: Store) -> None:
    produce(Letters(letter="b"), store, name="reused")
    made = produce(Joined(first="reused", files=("reused/a.txt",)), store).version
    assert all(node.version for node in lineage(store, made).inputs)
    shutil.rmtree(store.root / "reused")
    produce(Letters(letter="z"), store, name="reused")
    again = lineage(store, made).inputs
    assert [node.reference for node in again] == ["reused:v1", "reused:v1"]
    assert all(node.version is None for node in again)


def test_gc_does_not_keep_an_unrelated_version(store: Store) -> None:
    produce(Letters(letter="b"), store, name="reused")
    produce(Joined(first="reused"), store)
    shutil.rmtree(store.root / "reused")
    other = produce(Letters(letter="z"), store, name="reused").version
    produce(Letters(letter="y"), store, name="reused")
    assert [garbage.path for garbage in find_garbage(store)] == [other.path]


def test_gc_removes_stale_locks_and_leaves_held_ones(store: Store) -> None:
    drafts = store.root / DRAFTS
    for name in ("dead", "alive"):
        (drafts / name).mkdir(parents=True)
    for name in ("dead", "stale", "letters.name"):
        (drafts / f"{name}.lock").touch()
    with lock.held(drafts / "alive.lock"), lock.held(drafts / "held.lock"):
        found = find_garbage(store)
        assert {garbage.path.name for garbage in found} == {
            "dead", "stale.lock", "letters.name.lock",
        }  # fmt: skip
        assert all(remove(garbage) for garbage in found)
        assert {path.name for path in drafts.iterdir()} == {"alive", "alive.lock", "held.lock"}


def test_gc_leaves_a_draft_that_was_taken_up_meanwhile(store: Store) -> None:
    draft = store.root / DRAFTS / "taken"
    draft.mkdir(parents=True)
    (garbage,) = find_garbage(store)
    with lock.held(draft.with_name("taken.lock")):
        assert not remove(garbage)
        assert draft.is_dir()
        assert draft.with_name("taken.lock").exists()
    assert remove(garbage)
    assert list((store.root / DRAFTS).iterdir()) == []


def test_provenance_tells_a_changed_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        answer = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *words],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return answer.stdout.strip()

    monkeypatch.setattr(produce_module, "_CHECKOUT", tmp_path)
    assert produce_module._commit() is None
    git("init", "-q")
    (tmp_path / "llamakit").mkdir()
    (tmp_path / "llamakit" / "a.py").write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD")
    (tmp_path / "notes").write_text("outside the code")
    assert produce_module._commit() == head
    (tmp_path / "llamakit" / "a.py").write_text("2")
    assert produce_module._commit() == f"{head}-dirty"


def test_a_metric_without_value_is_null(store: Store) -> None:
    version = produce(Letters(), store).version
    assert json.loads((version.path / "artifact.json").read_text())["metrics"] == {"mean": None}
