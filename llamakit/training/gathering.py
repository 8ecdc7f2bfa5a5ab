"""Work that processes share and whose results all of them need: weights gathered once, rows told.

Sampling reads a model's weights once a token. Of a model that `fsdp` shards they are therefore
gathered on every process before it begins and freed when it is done, instead of a block at a time
for every token (paper §3.2.3: generation was some 20 times slower without).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from llamakit.model.lora import merged_lora
from llamakit.training.parallel import Parallel


@contextmanager
def gathered(model: nn.Module, *, merged: bool = False) -> Iterator[None]:
    """In the block, all of a model's weights lie on this process, whichever of them it holds.

    Every process enters and leaves together; inside, each may use the model as often as it likes.

    Args:
        merged: adapters are merged into their matrices meanwhile.
    """
    sharded: list[Any] = [module for module in model.modules() if hasattr(module, "unshard")]
    with ExitStack() as after:
        # The model itself is the first, and knows what the others need.
        for module in sharded:
            module.unshard()
            # Or the first forward pass would free them again.
            module.set_reshard_after_forward(False, recurse=False)
            after.callback(_freed, module, model)
        if merged:
            after.enter_context(merged_lora(model, passing=bool(sharded)))
        yield


def _freed(module: Any, model: nn.Module) -> None:
    module.reshard()
    # As `fully_shard` has it: what the outermost holds is needed until the backward pass.
    module.set_reshard_after_forward(module is not model, recurse=False)


def share_of(parallel: Parallel, rows: int) -> range:
    """The rows of a batch that this process works on: neighbours, as even as they come out."""
    rank, world = parallel.rows
    return range(rows * rank // world, rows * (rank + 1) // world)


def told(parallel: Parallel, rows: Sequence[Any]) -> list[Any]:
    """The rows of all processes, in the order of `share_of`, as JSON carries them.

    For processes that all read different rows (no tensor parallelism).
    """
    if parallel.rows.world == 1:
        return list(rows)
    words = torch.frombuffer(bytearray(json.dumps(list(rows)).encode()), dtype=torch.uint8)
    sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(parallel.rows.world)]
    dist.all_gather(sizes, torch.tensor([len(words)]))
    longest = max(int(size) for size in sizes)
    padded = torch.zeros(longest, dtype=torch.uint8)
    padded[: len(words)] = words
    heard = [torch.zeros(longest, dtype=torch.uint8) for _ in sizes]
    dist.all_gather(heard, padded)
    found: list[Any] = []
    for size, letters in zip(sizes, heard, strict=True):
        found.extend(json.loads(letters[: int(size)].numpy().tobytes()))
    return found
