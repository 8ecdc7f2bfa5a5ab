"""What the stages that sample dialogues share: shard by shard, put together at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt

from llamakit.artifacts.kinds import Dialogues, Model
from llamakit.errors import InputError, LlamakitError, UsageError
from llamakit.events import Events
from llamakit.stages.fields import Execution, Identity, Input
from llamakit.stages.stage import Stage

if TYPE_CHECKING:
    from llamakit.alignment.answerer import Answerer
    from llamakit.alignment.served import Server
    from llamakit.artifacts.draft import Draft

Shard = TypeVar("Shard")


@dataclass(frozen=True, kw_only=True)
class Sampled(Stage):
    """A stage in which one model answers prompts, shard by shard."""

    max_new_tokens: Identity[Annotated[int, Ge(1)]] = 512
    """Longest answer, in tokens."""
    engine: Identity[Literal["llamakit", "vllm"]] = "llamakit"
    """What samples: this process, or a vLLM server that serves the model."""
    dtype: Identity[Literal["fp32", "bf16"]] = "fp32"
    """What the models compute in."""
    workers: Execution[Annotated[int, Ge(1)]] = 1
    """Processes, each with its own copy of the models."""
    device: Execution[Literal["auto", "cpu", "cuda"]] = "auto"
    """Where to sample: auto takes a GPU if there is one."""
    server: Execution[str | None] = None
    """URL of the vLLM server, like http://127.0.0.1:8000, with engine vllm."""
    served_model: Execution[str | None] = None
    """Name that the model is served under; needed where the server has several."""
    server_timeout: Execution[Annotated[float, Gt(0)]] = 600.0
    """Seconds that an answer of the server may take."""

    def answerer(
        self,
        draft: Draft[Dialogues],
        model: Input[Model],
        top_p: float,
        seed: int,
        judges: Sequence[Path],
    ) -> Answerer:
        """The model that answers, as the settings have it.

        Args:
            judges: folders of the reward models that are to read its answers.

        Raises:
            UsageError: answers leave no room for a prompt, or a server is named amiss.
            InputError: the server serves another model.
            LlamakitError: the server cannot be reached.
        """
        from llamakit.alignment.answerer import Answerer
        from llamakit.alignment.models import prompt_room
        from llamakit.training.machine import pick_device, warn_of_slow_bf16

        device = pick_device(self.device)
        warn_of_slow_bf16(self.dtype, device, draft.events)
        folder = draft.input(model).path
        return Answerer(
            model=folder,
            top_p=top_p,
            max_new_tokens=self.max_new_tokens,
            max_prompt_tokens=prompt_room(folder, judges, self.max_new_tokens, self.command()),
            seed=seed,
            dtype=self.dtype,
            device=device,
            served=self._served(folder, device, draft.events),
        )

    def sample(
        self,
        draft: Draft[Dialogues],
        rows: Sequence[Mapping[str, Any]],
        shard_of: Callable[[Path, int, Path], Shard],
        function: Callable[[Shard], dict[str, Any]],
        size: int,
    ) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Sample dialogues from rows of dialogues, and write the draft's table.

        Args:
            shard_of, size: as of `in_shards`.
            function: the same; its number of `dialogues` is among its counts, and it writes the
                same for any size of shards.

        Returns:
            what `function` returned, shard by shard, and the counts added up.

        Raises:
            InputError: there is no row.
            LlamakitError: no dialogue came out of it.
        """
        from llamakit.alignment.tables import merge_dialogues, told, total_counts

        label = self.command()
        results, answers = in_shards(
            draft, rows, shard_of, function, label=label, size=size, workers=self.workers
        )
        counts = total_counts(results)
        if not counts.get("dialogues"):
            raise LlamakitError(
                "no dialogue came out of it",
                where=label,
                fix=f"What became of them: {told(counts)}. Models must end their answers in time.",
            )
        merge_dialogues(answers, draft.path / "data")
        return results, counts

    def _served(self, model: Path, device: str, events: Events) -> Server | None:
        """The vLLM server named, found to serve the very model; None for this process."""
        given = {"server": self.server, "served_model": self.served_model}
        if self.engine == "llamakit":
            if idle := [name for name, value in given.items() if value is not None]:
                raise UsageError(
                    f"{', '.join(idle)} would do nothing",
                    where=self.command(),
                    fix="Give --engine vllm with it.",
                )
            return None
        if self.server is None:
            raise UsageError(
                "engine vllm needs the server's URL",
                where=self.command(),
                fix=f"Start it (vllm serve {model}), and give --server http://127.0.0.1:8000.",
            )
        from llamakit.alignment.served import check_served, find_server
        from llamakit.model.weights import load_model, load_vocabulary

        server = find_server(self.server, self.served_model, self.server_timeout, self.command())
        apart = check_served(server, load_model(model, self.dtype, device), load_vocabulary(model))
        events.note(f"{server.url} serves the model: log-probabilities lie {apart:.3f} nats apart")
        return server


def in_shards(
    draft: Draft[Any],
    rows: Sequence[Mapping[str, Any]],
    shard_of: Callable[[Path, int, Path], Shard],
    function: Callable[[Shard], dict[str, Any]],
    *,
    label: str,
    size: int,
    workers: int,
) -> tuple[list[dict[str, Any]], list[Path]]:
    """Work on rows of dialogues shard by shard.

    Args:
        shard_of: from a table of `size` rows, the place of its first row among all, and the table
            that the shard's results go to, what `function` works on.
        function: writes that table and returns `counts` and more.

    Returns:
        what `function` returned and the table it wrote, shard by shard.

    Raises:
        InputError: there is no row.
    """
    from llamakit.alignment.models import forget_models
    from llamakit.alignment.tables import shard_dialogues
    from llamakit.engine.shards import Engine, map_shards

    if not rows:
        raise InputError("the dialogues given hold none to answer", where=label)
    # Shards of another size are other shards: a rerun must not mix them.
    work = draft.work / f"shards-{size}"
    parts = shard_dialogues(rows, work / "prompts", size)
    tables = [work / "answers" / path.name for path, _ in parts]
    shards = [
        shard_of(path, first, table) for (path, first), table in zip(parts, tables, strict=True)
    ]
    try:
        results = map_shards(
            function,
            shards,
            done=work / "done",
            engine=Engine(workers),
            events=draft.events,
            label=label,
        )
    finally:
        forget_models()
    return results, tables
