"""The fields of stages that train a model, declared once."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from llamakit.stages.fields import Execution, Identity
from llamakit.stages.stage import Stage

if TYPE_CHECKING:
    from llamakit.model.lora import Lora


@dataclass(frozen=True, kw_only=True)
class Adapted(Stage):
    """A stage that trains all weights of a model, or adapters beside them."""

    lora_rank: Identity[Annotated[int, Ge(0)]] = 0
    """Rank of the adapters that are trained in place of the model's own weights; 0 trains all."""
    lora_alpha: Identity[Annotated[float, Gt(0)] | None] = None
    """Adapters count alpha / rank times: by default alpha is twice the rank."""
    lora_targets: Identity[list[str]] = field(default_factory=lambda: ["q_proj", "v_proj"])
    """Matrices of each layer with an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj,
    down_proj."""

    def lora(self) -> "Lora | None":
        """The adapters asked for.

        Raises:
            UsageError: a target is unknown, or there is none.
        """
        from llamakit.model.lora import lora_of

        return lora_of(self.lora_rank, self.lora_alpha, self.lora_targets, self.command())


@dataclass(frozen=True, kw_only=True)
class Trained(Stage):
    """A stage whose training is the one loop, `training.loop.fit`."""

    device: Execution[Literal["auto", "cpu", "cuda"]] = "auto"
    """Where to train: auto takes a GPU if there is one."""
    parallel: Execution[Literal["ddp", "fsdp"]] = "ddp"
    """Under torchrun: ddp copies the model to every process, fsdp shards weights, gradients and
    optimizer."""
    tensor_parallel: Execution[Annotated[int, Ge(1)]] = 1
    """Under torchrun: processes that share the heads and columns of every layer."""
    recompute: Execution[Literal["none", "blocks"]] = "none"
    """Compute each block's activations again in the backward pass: a third more work, little
    memory."""
    checkpoint_every: Execution[Annotated[int, Ge(0)]] = 250
    """Steps between checkpoints; 0 saves only when the run is stopped."""
    log_every: Execution[Annotated[int, Ge(1)]] = 1
    """Steps between rows of the metrics log."""

    many_processes: ClassVar = True
