"""Answers of a vLLM server, by a stand-in that speaks its documented protocol (`serving.py`)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch

from llamakit.alignment import served
from llamakit.alignment.rollout import rollout
from llamakit.alignment.served import Server, check_served, find_server
from llamakit.errors import InputError, LlamakitError, UsageError
from llamakit.model.config import ModelConfig
from llamakit.model.generation import Sampling
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary, train_vocabulary
from tests.alignment.serving import NAME, serving
from tests.alignment.small import SENTENCES, prompts

SAMPLING = Sampling(max_new_tokens=12, temperature=1.0, top_p=1.0, top_k=0)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "_PAUSE_S", 0.01)


def test_a_server_of_the_same_model_writes_the_same_answers(
    chatting: Transformer, vocabulary: Vocabulary
) -> None:
    asked = [prompt.ids for prompt in prompts(vocabulary, 5)]
    keys = [(1, place) for place in range(5)]
    with serving(chatting, vocabulary) as server:
        found = find_server(server.url + "/v1/", None, 30.0, "rejection")
        assert found == Server(server.url, NAME, 30.0)
        assert check_served(found, chatting, vocabulary) < 1e-6
        theirs = rollout(found, vocabulary, asked, 3, SAMPLING, keys=keys)
        sent = server.requests[-1]
    ours = rollout(chatting, vocabulary, asked, 3, SAMPLING, keys=keys)
    assert torch.equal(theirs.ids_BL, ours.ids_BL)
    assert torch.equal(theirs.finished_B, ours.finished_B)
    assert theirs.texts == ours.texts
    assert int(ours.finished_B.sum()) > 0
    # Nothing is left to the server's own defaults.
    assert {"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed"} <= sent.keys()


def test_another_model_is_refused(
    chatting: Transformer, vocabulary: Vocabulary, config: ModelConfig
) -> None:
    with serving(Transformer(config, seed=8), vocabulary) as server:
        found = find_server(server.url, NAME, 30.0, "gatt")
        with pytest.raises(InputError, match="another one: its log-probabilities"):
            check_served(found, chatting, vocabulary)


def test_another_vocabulary_is_refused(
    chatting: Transformer, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    other = train_vocabulary([text.upper() for text in SENTENCES], tmp_path, 320)
    with serving(chatting, other) as server:
        found = find_server(server.url, NAME, 30.0, "gatt")
        with pytest.raises(InputError, match="another vocabulary"):
            check_served(found, chatting, vocabulary)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("full", "answers 500: EngineCore died"),
        ("strange", "not what vLLM answers"),
        ("old", "does not give back the ids"),
        ("slow", "no answer in 0.5 s"),
    ],
)
def test_what_goes_wrong_is_told(
    chatting: Transformer, vocabulary: Vocabulary, broken: str, told: str
) -> None:
    with serving(chatting, vocabulary, broken) as server:
        found = Server(server.url, NAME, 0.5)
        with pytest.raises(LlamakitError, match=told):
            found.generate(vocabulary, [[1, 5], [1, 6]], SAMPLING, [1, 2])


@pytest.mark.parametrize("broken", ["busy", "cut"])
def test_a_busy_server_is_asked_again(
    chatting: Transformer, vocabulary: Vocabulary, broken: str
) -> None:
    with serving(chatting, vocabulary, broken) as server:
        (answer,) = Server(server.url, NAME, 30.0).generate(vocabulary, [[1, 5]], SAMPLING, [1])
        assert len(server.requests) == 2
    assert answer.ids


def test_the_servers_words_of_a_refusal_are_passed_on(
    chatting: Transformer, vocabulary: Vocabulary
) -> None:
    with (
        serving(chatting, vocabulary) as server,
        pytest.raises(LlamakitError, match="400: The model 'chat' cannot read 200 tokens"),
    ):
        Server(server.url, NAME, 30.0).generate(vocabulary, [[1] * 200], SAMPLING, [1])


def test_no_server_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(LlamakitError, match=r"cannot be reached .*refused.* Start it with `vllm"):
        find_server(f"http://127.0.0.1:{port}", None, 5.0, "gatt")


def test_a_model_of_several_must_be_named(chatting: Transformer, vocabulary: Vocabulary) -> None:
    with serving(chatting, vocabulary, "two") as server:
        with pytest.raises(UsageError, match="It serves chat, another"):
            find_server(server.url, None, 30.0, "gatt")
        with pytest.raises(UsageError, match="no model 'base', but chat, another"):
            find_server(server.url, "base", 30.0, "gatt")
        assert find_server(server.url, "another", 30.0, "gatt").model == "another"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "file:///etc/passwd", "http://", "http://a?b"])
def test_urls(url: str) -> None:
    with pytest.raises(UsageError, match="no URL"):
        find_server(url, None, 5.0, "gatt")
