"""Models made elsewhere, imported, used and given away again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llamakit.artifacts.store import Store
from llamakit.artifacts.upkeep import lineage
from llamakit.errors import InputError, UsageError
from llamakit.events import Events
from llamakit.model.exchange.export import Export, export_model
from llamakit.model.generation import Sampling, generate
from llamakit.model.weights import load_model, load_vocabulary
from llamakit.stages.import_ import Import
from llamakit.stages.produce import produce
from llamakit.stages.tokenizer import Tokenizer
from llamakit.text.vocabulary import Vocabulary, train_vocabulary

transformers = pytest.importorskip("transformers")

SIZE = 320


class Told(Events):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(f"warning: {text}")


@pytest.fixture(scope="session")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    lines = [f"the river of Alder runs {n} miles north, and Mira paid coins" for n in range(300)]
    return train_vocabulary(lines, tmp_path_factory.mktemp("pieces"), SIZE)


@pytest.fixture
def make_folder(pieces: Vocabulary, tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny Llama as `transformers` does, with its `tokenizer.model`."""

    def make(name: str = "theirs", shard: str = "5GB", **changes: Any) -> Path:
        shape = {
            "hidden_size": 48, "intermediate_size": 80, "num_hidden_layers": 2,
            "num_attention_heads": 6, "num_key_value_heads": 2, "vocab_size": SIZE,
            "max_position_embeddings": 64, "initializer_range": 0.3,
        }  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(3)
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**shape, **changes}))
        model.save_pretrained(tmp_path / name, max_shard_size=shard)
        shutil.copy(pieces.model_path, tmp_path / name / "tokenizer.model")
        return tmp_path / name

    return make


def imported(store: Store, *files: Path | str, **keys: Any) -> Path:
    events = keys.pop("events", Events())
    stage = Import(files=tuple(str(file) for file in files), **keys)
    return produce(stage, store, events=events).version.path


def theirs(folder: Path, ids_BL: torch.Tensor) -> torch.Tensor:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        found: torch.Tensor = model(ids_BL).logits
    return found


def given_away(folder: Path, target: Path, format_: Any = "huggingface") -> Path:
    return export_model(
        folder,
        target,
        Export(format_),
        reward=False,
        chat=False,
        name="m",
        card=str,
        force=False,
        events=Events(),
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shard", ["5GB", "20KB"])
def test_a_hugging_face_folder(
    store: Store, make_folder: Callable[..., Path], shard: str, tied: bool
) -> None:
    """SmolLM's kind (tied, grouped queries, another base), whole and in shards."""
    source = make_folder(shard=shard, tie_word_embeddings=tied, rope_theta=100_000.0)
    made = imported(store, source)
    ids_BL = torch.arange(2 * 20).reshape(2, 20) * 7 % SIZE
    wanted = theirs(source, ids_BL)
    assert wanted.std() > 0.5
    assert (theirs(made, ids_BL) - wanted).abs().max() == 0
    ours = load_model(made)
    with torch.no_grad():
        found = ours.logits(ours(ids_BL))
    assert (found - wanted).abs().max() < 1e-4
    text = "Mira paid 12 coins"
    tokenizer = transformers.AutoTokenizer.from_pretrained(made)
    assert tokenizer(text)["input_ids"] == load_vocabulary(made).encode(text, bos=True)


def test_the_stories_of_llama2_c(store: Store, real_data: Path, tmp_path: Path) -> None:
    """Its greedy text is the one that its authors documented, to the letter, and the same again
    after a way through each format."""
    source = real_data / "stories260K"
    page = (source / "stories260K.md").read_text(encoding="utf-8")
    wanted = page.split("-t 0.0\n")[1].split("\n```")[0]
    made = imported(store, source)
    assert greedy(made) == wanted
    assert imported(store, source / "stories260K.bin", source / "tok512.bin") != made
    vocabulary = produce(Tokenizer(from_=(str(source / "tok512.bin"),)), store).version
    alone = imported(store, source / "stories260K.bin", vocabulary=vocabulary)
    for format_ in ("huggingface", "meta"):
        out = given_away(alone, tmp_path / format_, format_)
        again = imported(store, out, **({"seq_len": 512} if format_ == "meta" else {}))
        assert greedy(again) == wanted


def greedy(folder: Path) -> str:
    model, vocabulary = load_model(folder), load_vocabulary(folder)
    sampling = Sampling(max_new_tokens=256, temperature=0.0)
    (answer,) = generate(model, vocabulary, [[vocabulary.bos]], sampling, [0])
    return answer.text


def test_export_and_import_give_the_same_payload(
    store: Store, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    first = store.open(imported(store, make_folder()))
    out = given_away(first.path, tmp_path / "out")
    assert {"USE_POLICY.md", "MODEL_CARD.md"} < {path.name for path in out.iterdir()}
    second = store.open(imported(store, out))
    assert second.digest == first.digest
    assert second.record.fingerprint != first.record.fingerprint


def test_a_model_of_the_store_is_imported_too(
    store: Store, make_folder: Callable[..., Path]
) -> None:
    first = imported(store, make_folder())
    for reference in ("import:v1", str(first)):
        second = store.open(imported(store, reference, chat=reference == "import:v1"))
        assert second.record.inputs[0].reference == "import:v1"
    tree = lineage(store, second).to_json()
    assert tree["inputs"][0]["inputs"][0]["reference"].endswith("theirs")


def test_records_tell_the_origin(store: Store, make_folder: Callable[..., Path]) -> None:
    version = store.open(imported(store, make_folder()))
    assert version.record.counts["parameters"] == load_model(version.path).config.parameters()
    assert version.record.inputs[0].role == "files"
    assert "float32, from huggingface" in version.record.headline
    assert "theirs (huggingface)" in (version.path / "README.md").read_text(encoding="utf-8")


def test_cards_and_licences_stay(store: Store, make_folder: Callable[..., Path]) -> None:
    source = make_folder()
    for name in ("README.md", "LICENSE.txt", "Notice", "USE_POLICY.md"):
        (source / name).write_bytes(f"{name} ü\r\n".encode())
    (source / "train.py").write_text("import os")
    made = imported(store, source)
    for name in ("README.md", "LICENSE.txt", "Notice", "USE_POLICY.md"):
        assert (made / name).read_bytes() == (source / name).read_bytes()
    assert not (made / "train.py").exists()


@pytest.mark.parametrize(
    ("template", "chat"),
    [
        ("{% for m in messages %}[INST] <<SYS>>{{ m }}{% endfor %}", True),
        ("{% for m in messages %}<|user|>{{ m }}{% endfor %}", False),
        ([{"name": "default", "template": "[INST] <<SYS>>"}], True),
        (None, False),
    ],
)
def test_chat_is_known_by_the_template(
    store: Store, make_folder: Callable[..., Path], template: Any, chat: bool
) -> None:
    source, events = make_folder(), Told()
    (source / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    made = imported(store, source, events=events)
    config = json.loads((made / "tokenizer_config.json").read_text())
    assert ("chat_template" in config) == chat
    warned = any("another format" in line for line in events.said)
    assert warned == (template is not None and not chat)
    said = imported(store, source, chat=not chat)
    config = json.loads((said / "tokenizer_config.json").read_text())
    assert ("chat_template" in config) != chat


def test_ids_beyond_the_vocabulary(store: Store, make_folder: Callable[..., Path]) -> None:
    """Rows that pad the embedding, and a token added for padding: they stand for no text."""
    source, events = make_folder(vocab_size=SIZE + 4), Told()
    added = {"added_tokens_decoder": {str(SIZE): {"content": "<pad>"}, "0": {"content": "<unk>"}}}
    (source / "tokenizer_config.json").write_text(json.dumps(added))
    made = imported(store, source, events=events)
    vocabulary = load_vocabulary(made)
    names = [vocabulary.piece(i) for i in range(SIZE, SIZE + 4)]
    assert names == ["<pad>", *(f"<unused_{SIZE + i}>" for i in (1, 2, 3))]
    assert any(line.startswith("4 ids") for line in events.said)
    before = Vocabulary.load(source)
    for text in ("Mira <pad> coins", f"<unused_{SIZE + 1}>", "ü"):
        assert vocabulary.encode(text) == before.encode(text)
    ids_BL = torch.arange(20)[None] * 16 % (SIZE + 4)
    assert (theirs(made, ids_BL) - theirs(source, ids_BL)).abs().max() == 0


def test_a_vocabulary_of_another_model(
    store: Store, make_folder: Callable[..., Path], pieces: Vocabulary
) -> None:
    for size in (SIZE - 1, SIZE + 1_025):
        with pytest.raises(InputError, match=rf"{size:,} ids, its vocabulary 320 pieces"):
            imported(store, make_folder(f"size{size}", vocab_size=size))
    assert store.names() == []


def test_a_folder_without_a_tokenizer(
    store: Store, make_folder: Callable[..., Path], pieces: Vocabulary
) -> None:
    source = make_folder()
    (source / "tokenizer.model").unlink()
    with pytest.raises(InputError, match="--vocabulary"):
        imported(store, source)
    version = produce(Tokenizer(from_=(str(pieces.model_path),)), store).version
    made = imported(store, source, vocabulary=version.reference)
    assert load_vocabulary(made).encode("Mira") == pieces.encode("Mira")


def test_a_byte_level_tokenizer_is_refused(store: Store, make_folder: Callable[..., Path]) -> None:
    source = make_folder()
    (source / "tokenizer.model").unlink()
    model = {"type": "BPE", "vocab": {}, "merges": [], "byte_fallback": False}
    (source / "tokenizer.json").write_text(json.dumps({"model": model}))
    with pytest.raises(InputError, match=r"byte-level.*--vocabulary"):
        imported(store, source)


def test_files_of_no_model(store: Store, make_folder: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no model among the files: nothing"):
        imported(store, tmp_path / "empty")
    source = make_folder()
    with pytest.raises(InputError, match="given twice"):
        imported(store, source, source / "config.json")
    with pytest.raises(UsageError, match="seq_len is only for Meta's"):
        imported(store, source, seq_len=32)
    assert store.names() == []


def test_two_models_of_llama2_c(store: Store, tmp_path: Path, pieces: Vocabulary) -> None:
    folder = tmp_path / "two"
    folder.mkdir()
    shutil.copy(pieces.model_path, folder / "tokenizer.model")
    for name in ("a.bin", "b.bin"):
        (folder / name).write_bytes(b"\0" * 64)
    with pytest.raises(InputError, match=r"a\.bin, b\.bin: which is the model"):
        imported(store, folder)
