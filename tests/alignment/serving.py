"""A stand-in for a vLLM server: the calls of its API that llamakit makes, answered by llamakit.

It keeps to what vLLM documents of `/v1/models`, `/tokenize` and `/v1/completions`: ids of prompt
and answer with `return_token_ids`, EOS among the answer's ids and not in its text, `finish_reason`
stop or length, log-probabilities of the prompt by id as text, errors as `{"error": {"message"}}`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

from llamakit.model.generation import Sampling, generate
from llamakit.model.logprobs import token_logprobs
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary

NAME = "chat"


class Standin(ThreadingHTTPServer):
    """Serves one model; `broken` makes it misbehave."""

    daemon_threads = True

    def __init__(self, model: Transformer, vocabulary: Vocabulary, broken: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model, self.vocabulary, self.broken = model, vocabulary, broken
        self.requests: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def completion(self, asked: dict[str, Any]) -> dict[str, Any]:
        prompt = asked["prompt"]
        if asked["model"] != NAME or len(prompt) >= self.model.config.max_seq_len:
            raise ValueError(f"The model {asked['model']!r} cannot read {len(prompt)} tokens.")
        sampling = Sampling(
            max_new_tokens=asked["max_tokens"],
            temperature=asked["temperature"],
            top_p=asked.get("top_p", 0.9),
            top_k=asked.get("top_k", 0),
        )
        with self.lock:
            (answer,) = generate(
                self.model, self.vocabulary, [prompt], sampling, [asked.get("seed", 0)]
            )
        choice: dict[str, Any] = {
            "index": 0,
            "text": answer.text,
            "finish_reason": "stop" if answer.finished else "length",
            "stop_reason": None,
            "logprobs": None,
        }
        if asked.get("return_token_ids") and self.broken != "old":
            choice |= {"token_ids": answer.ids, "prompt_token_ids": prompt}
        if asked.get("prompt_logprobs") is not None:
            ids = torch.tensor([prompt])
            with torch.no_grad():
                read = token_logprobs(
                    self.model(ids)[0, :-1], self.model.head_weight, ids[0, 1:]
                ).tolist()
            told = [
                {str(i): {"logprob": p, "rank": 1}} for i, p in zip(prompt[1:], read, strict=True)
            ]
            choice["prompt_logprobs"] = [None, *told]
        return {"object": "text_completion", "model": NAME, "choices": [choice], "usage": {}}


class _Handler(BaseHTTPRequestHandler):
    server: Standin

    def do_GET(self) -> None:
        names = [NAME, "another"] if self.server.broken == "two" else [NAME]
        self._answer(200, {"object": "list", "data": [{"id": name} for name in names]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            ids = self.server.vocabulary.encode(asked["prompt"], bos=asked["add_special_tokens"])
            self._answer(200, {"tokens": ids, "count": len(ids), "max_model_len": 128})
            return
        self.server.requests.append(asked)
        broken = self.server.broken
        if broken == "slow":
            time.sleep(3)
        elif broken == "full":
            self._answer(500, {"error": {"message": "EngineCore died", "code": 500}})
        elif broken == "busy" and len(self.server.requests) % 2:
            self._answer(503, {"error": {"message": "overloaded"}})
        elif broken == "strange":
            self._answer(200, {"choices": "none"})
        elif broken == "cut" and len(self.server.requests) % 2:
            self.connection.close()
        else:
            try:
                self._answer(200, self.server.completion(asked))
            except ValueError as error:
                self._answer(400, {"error": {"message": str(error), "code": 400}})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        said = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(model: Transformer, vocabulary: Vocabulary, broken: str = "") -> Iterator[Standin]:
    """A server that runs meanwhile."""
    server = Standin(model, vocabulary, broken)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
