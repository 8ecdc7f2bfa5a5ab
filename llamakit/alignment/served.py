"""Answers from a model on a vLLM server: its OpenAI-compatible API, with token ids in and out.

Asked are `GET /v1/models`, `POST /tokenize` and `POST /v1/completions` with a prompt of ids and
`return_token_ids` (vLLM from 0.10.2 on). One request an answer, since a request has one seed; many
at once, and the server batches them as it likes. What it computes is rounded by its own kernels,
so that answers are those of another sampler: of the same distribution, not the same ones.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import torch

from llamakit.errors import InputError, LlamakitError, UsageError
from llamakit.model.generation import Generation, Sampling
from llamakit.model.logprobs import token_logprobs
from llamakit.model.transformer import Transformer
from llamakit.text.vocabulary import Vocabulary

AT_ONCE = 64
"""Requests under way at a time."""
_TRIES, _PAUSE_S = 4, 1.0
_BUSY = (429, 502, 503, 504)
_APART = 0.25
"""Mean difference of log-probabilities, in nats a token, from which a model is another one: bf16
and fp8 kernels of the same weights differ by some hundredths."""
_PROBE = "Yes — 12 and 30 make 42.\nIt isn't far: 7°C, and naïve [words] of <many> kinds."


@dataclass(frozen=True)
class Server:
    """Where a model is served; small and picklable."""

    url: str
    """As `http://127.0.0.1:8000`."""
    model: str
    """The name it is served under."""
    timeout: float
    """Seconds that an answer may take."""

    def generate(
        self,
        vocabulary: Vocabulary,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        seeds: Sequence[int],
    ) -> list[Generation]:
        """Continue each prompt, as `model.generation.generate` does; without log-probabilities.

        Raises:
            LlamakitError: the server cannot be reached, or does not answer as vLLM does.
        """
        if len(seeds) != len(prompts):
            raise ValueError(f"{len(prompts)} prompts need as many seeds, got {len(seeds)}")
        with ThreadPoolExecutor(max(1, min(AT_ONCE, len(prompts)))) as pool:
            asked = [
                pool.submit(self._continued, vocabulary, prompt, sampling, seed)
                for prompt, seed in zip(prompts, seeds, strict=True)
            ]
            try:
                return [one.result() for one in asked]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _continued(
        self, vocabulary: Vocabulary, prompt: Sequence[int], sampling: Sampling, seed: int
    ) -> Generation:
        # What is left out would be the server's own default (`generation_config.json`).
        choice = self._completion(
            prompt,
            max_tokens=sampling.max_new_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=0.0,
            repetition_penalty=1.0,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            seed=seed,
        )
        ids, reason = choice.get("token_ids"), choice.get("finish_reason")
        if reason not in ("stop", "length") or not _are_ids(ids, vocabulary.size):
            raise self._strange(f"finish_reason {reason!r}, token_ids {str(ids)[:60]}")
        assert isinstance(ids, list)
        finished = reason == "stop"
        if finished and ids[-1:] != [vocabulary.eos]:
            # Sampled, and taken off by a server that hides where an answer stopped.
            ids = [*ids, vocabulary.eos]
        if not ids:
            raise self._strange("an answer without a token")
        text = vocabulary.decode(ids[:-1] if finished else ids)
        return Generation(ids=ids, finished=finished, logprobs=[], text=text)

    def prompt_logprobs(self, ids: Sequence[int]) -> list[float]:
        """What the server's model says of each token but the first."""
        choice = self._completion(ids, max_tokens=1, temperature=0.0, prompt_logprobs=1)
        try:
            pairs = zip(choice["prompt_logprobs"][1:], ids[1:], strict=True)
            return [float(each[str(token)]["logprob"]) for each, token in pairs]
        except (KeyError, TypeError, ValueError):
            raise self._strange("no log-probabilities of the prompt") from None

    def _completion(self, prompt: Sequence[int], **settings: Any) -> Mapping[str, Any]:
        """The one choice of a completion, whose prompt was read as it was sent."""
        asked = {
            "model": self.model,
            "prompt": [int(token) for token in prompt],
            "return_token_ids": True,
            **settings,
        }
        answer = self.ask("/v1/completions", asked)
        choices = answer.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
            raise self._strange("not one choice")
        choice: dict[str, Any] = choices[0]
        if choice.get("prompt_token_ids") != asked["prompt"]:
            raise LlamakitError(
                "the server does not give back the ids of the prompt as they were sent",
                where=self.url,
                fix="Token ids are needed in and out: vLLM 0.10.2 or newer.",
            )
        return choice

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What the server answers, an object; asked again while it is busy or breaks off.

        Raises:
            LlamakitError: it cannot be reached, refuses, or says what is no JSON object.
        """
        for attempt in range(_TRIES):
            status, said = 0, b""
            try:
                status, said = self._exchange(path, body)
            except TimeoutError:
                raise LlamakitError(
                    f"no answer in {self.timeout:g} s",
                    where=f"{self.url}{path}",
                    fix="Raise server_timeout, or look at the server's log.",
                ) from None
            except (OSError, http.client.HTTPException) as error:
                if attempt == _TRIES - 1:
                    raise LlamakitError(
                        f"the server cannot be reached ({error or type(error).__name__})",
                        where=self.url,
                        fix="Start it with `vllm serve FOLDER`, and run this again: shards that"
                        " are done are kept.",
                    ) from None
            if status and status not in _BUSY:
                return self._read(path, status, said)
            if attempt < _TRIES - 1:
                time.sleep(_PAUSE_S * 2**attempt)
        return self._read(path, status, said)

    def _exchange(self, path: str, body: Mapping[str, Any] | None) -> tuple[int, bytes]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            secure = ssl.create_default_context()
            connection = http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=self.timeout, context=secure
            )
        else:
            connection = http.client.HTTPConnection(
                parts.hostname, parts.port, timeout=self.timeout
            )
        try:
            connection.request(
                "GET" if body is None else "POST",
                parts.path.rstrip("/") + path,
                None if body is None else json.dumps(body),
                {"Content-Type": "application/json"},
            )
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _read(self, path: str, status: int, said: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(said)
        except (ValueError, RecursionError):
            answer = None
        if status != http.HTTPStatus.OK:
            error = answer.get("error", answer) if isinstance(answer, dict) else None
            told = error.get("message") if isinstance(error, dict) else None
            words = " ".join(str(told or said.decode("utf-8", "replace")).split())[:300]
            raise LlamakitError(f"the server answers {status}: {words}", where=f"{self.url}{path}")
        if not isinstance(answer, dict):
            raise self._strange("no JSON object")
        return answer

    def _strange(self, what: str) -> LlamakitError:
        return LlamakitError(
            f"this is not what vLLM answers: {what}",
            where=self.url,
            fix="The server must be vLLM 0.10.2 or newer, with its OpenAI-compatible API.",
        )


def find_server(url: str, model: str | None, timeout: float, stage: str) -> Server:
    """The server at a URL, asked for what it serves.

    Args:
        model: the name it is served under; None where there is one only.

    Raises:
        UsageError: the URL is none, or there are several models, or none of that name.
        LlamakitError: the server cannot be reached.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"server = {url!r} is no URL like http://127.0.0.1:8000", where=stage)
    server = Server(url.rstrip("/").removesuffix("/v1"), model or "", timeout)
    listed = server.ask("/v1/models").get("data")
    names = [one.get("id") for one in listed if isinstance(one, dict)] if listed else []
    if (model is None and len(names) == 1) or model in names:
        return Server(server.url, model or str(names[0]), timeout)
    shown = ", ".join(map(str, names)) or "none"
    raise UsageError(
        f"which model of the server is it? It serves {shown}"
        if model is None
        else f"the server serves no model {model!r}, but {shown}",
        where=stage,
        fix="Name it with served-model.",
    )


def check_served(server: Server, model: Transformer, vocabulary: Vocabulary) -> float:
    """Make sure that a server's model is this one, with its vocabulary.

    Returns:
        how far apart the log-probabilities of a probe lie, in nats a token on average.

    Raises:
        InputError: it is another one.
    """
    asked = {"model": server.model, "prompt": _PROBE, "add_special_tokens": True}
    found, ids = server.ask("/tokenize", asked).get("tokens"), vocabulary.encode(_PROBE, bos=True)
    fix = f"Serve the model itself: vllm serve {vocabulary.model_path.parent}"
    if found != ids:
        raise InputError(
            "the server's model has another vocabulary: it reads a probe as other tokens",
            where=server.url,
            fix=fix,
        )
    said = server.prompt_logprobs(ids)
    with torch.no_grad():
        read = torch.tensor([ids], device=next(model.parameters()).device)
        own = token_logprobs(model(read)[0, :-1], model.head_weight, read[0, 1:]).cpu()
    apart = float((own - torch.tensor(said)).abs().mean())
    if not apart <= _APART:
        raise InputError(
            f"the server's model is another one: its log-probabilities of a probe are {apart:.2f}"
            " nats a token away",
            where=server.url,
            fix=fix,
        )
    return apart


def _are_ids(found: object, size: int) -> bool:
    return isinstance(found, list) and all(
        isinstance(token, int) and 0 <= token < size for token in found
    )
