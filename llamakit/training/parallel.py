"""How the processes of one run divide a step: rows, weights, and the sums that join them again.

A mesh of data-parallel x tensor-parallel processes. Processes that differ in the first number read
different rows; those that differ in the second hold different heads and feed-forward columns of the
same layers (`tensor_parallel.py`) and read the same rows. Over the data-parallel ones the weights
are either copied (ddp: gradients are summed once a step, in fp32) or sharded (fsdp: `fully_shard`
of PyTorch, which gathers a block's weights when they are needed and scatters sums of gradients).

A loss is a sum over targets, so gradients are sums too; nobody averages over processes, and the
step divides by the targets of all. Alone, every method here hands back what it was given.
"""

from __future__ import annotations

import math
import signal
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from llamakit.errors import UsageError
from llamakit.events import Events
from llamakit.model.lora import Lora
from llamakit.model.transformer import Block
from llamakit.model.weights import DTYPES
from llamakit.training.checkpoint import Checkpoints
from llamakit.training.pieces import Piece, PieceFiles
from llamakit.training.plan import ParallelKind, Precision
from llamakit.training.share import ALONE, Share
from llamakit.training.tensor_parallel import split_dim, split_heads

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

_BUCKET_BYTES = 64 * 2**20
"""Gradients are sent in pieces of this size: few messages, and little memory beside them."""


class Box(NamedTuple):
    """The part of a tensor that one process holds."""

    offsets: tuple[int, ...]
    extent: tuple[int, ...]


class Parallel:
    """One process's place among those that train a model together."""

    def __init__(
        self, kind: ParallelKind, data: Share, tensor: Share, mesh: DeviceMesh | None
    ) -> None:
        self.rows = data
        """Which rows of a batch this process reads."""
        self.tensor = tensor
        """Which heads and columns it holds."""
        self.processes = Share(data.rank * tensor.world + tensor.rank, data.world * tensor.world)
        """Its place among all: its file of a checkpoint."""
        self.shards = kind == "fsdp" and data.world > 1
        """Whether weights, gradients and moments are divided among the data-parallel processes."""
        self._mesh = mesh
        self._shapes: dict[str, tuple[int, ...]] = {}

    def twin(self) -> Parallel:
        """The same place among the same processes, for another model beside this one's."""
        kind: ParallelKind = "fsdp" if self.shards else "ddp"
        return Parallel(kind, self.rows, self.tensor, self._mesh)

    @property
    def leads(self) -> bool:
        """Whether this process writes what there is one of."""
        return self.processes.rank == 0

    @property
    def shard_count(self) -> int:
        """Over how many processes weights, gradients and moments are cut."""
        return self.rows.world if self.shards else 1

    @property
    def whole(self) -> bool:
        """Whether this process holds every weight entirely."""
        return not self.shards and self.tensor.world == 1

    # What is done to a model before training.

    def place(
        self,
        model: nn.Module,
        dtype: Precision,
        device: str,
        weights: Iterable[tuple[str, Tensor]] | None = None,
    ) -> None:
        """Move a model in fp32 to its device and divide it, in place.

        Every process brings the same model, and keeps its part; where all hold a copy, it is the
        first process's.

        Args:
            weights: of a model on the meta device, every weight by name: so no process holds all of
                them at any time.
        """
        self._shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
        if self.tensor.world > 1:
            assert self._mesh is not None
            split_heads(model, self.tensor, self._mesh["tensor"].get_group())
        if self.shards:
            self._shard(model, dtype)
        if weights is None:
            model.to(device)
        else:
            model.to_empty(device=device)
            self._fill(model, weights)
        if self._mesh is not None and not self.shards and self.rows.world > 1:
            group = self._mesh["data"].get_group()
            with torch.no_grad():
                for parameter in model.parameters():
                    dist.broadcast(parameter, group=group, group_src=0)

    def _shard(self, model: nn.Module, dtype: Precision) -> None:
        # A second to import; whoever trains alone does not wait for it.
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        assert self._mesh is not None
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if dtype == "bf16" else None,
            reduce_dtype=torch.float32,
            cast_forward_inputs=False,
        )
        blocks = [module for module in model.modules() if isinstance(module, Block)]
        # It fears for in-place changes of what a model returns; nothing here makes any.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
        for module in (*blocks, model):
            sharded = fully_shard(module, mesh=self._mesh["data"], mp_policy=policy)
            # Sums, not means: the loop divides by the targets of the whole batch.
            sharded.set_gradient_divide_factor(1.0)
            sharded.set_force_sum_reduction_for_comms(True)

    def _fill(self, model: nn.Module, weights: Iterable[tuple[str, Tensor]]) -> None:
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, weight in weights:
                box = self.box(name)
                part = [slice(o, o + n) for o, n in zip(box.offsets, box.extent, strict=True)]
                self.local(parameters[name]).copy_(weight[tuple(part)])

    # What joins the processes in every step.

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a small tensor over all rows of the batch, on every process."""
        if self._mesh is not None and self.rows.world > 1:
            dist.all_reduce(values, group=self._mesh["data"].get_group())
        return values

    def total(self, number: int) -> int:
        """The sum of a number over all rows of the batch."""
        if self._mesh is None:
            return number
        count = torch.tensor(number if self.tensor.rank == 0 else 0)
        dist.all_reduce(count)
        return int(count)

    def greatest(self, values: Tensor) -> Tensor:
        """The greatest of a small tensor's entries over all rows of the batch, likewise."""
        if self._mesh is not None and self.rows.world > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX, group=self._mesh["data"].get_group())
        return values

    def stopping(self, events: Events) -> bool:
        """Whether any process was asked to stop: then all are, after the same step."""
        if not self.any(events.stopping):
            return False
        if not events.stopping:
            events.stop(signal.SIGTERM)
        return True

    def any(self, said: bool) -> bool:
        """Whether any process says so."""
        if self._mesh is None:
            return said
        # On the processor, where asking does not wait for a GPU's work.
        count = torch.tensor(int(said))
        dist.all_reduce(count)
        return bool(count)

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.any(False)

    def all(self, said: bool) -> bool:
        """Whether every process says so."""
        return not self.any(not said)

    def reduce(self, gradients: Mapping[str, Tensor]) -> None:
        """Make gradients those of the whole batch, in place."""
        if self._mesh is None:
            return
        if self.rows.world > 1 and not self.shards:
            _all_reduce(list(gradients.values()), self._mesh["data"].get_group())
        if self.tensor.world > 1:
            # Equal on all of them but for kernels that add in no fixed order; copies must not part.
            copied = [g for name, g in gradients.items() if split_dim(name) is None]
            _all_reduce(copied, self._mesh["tensor"].get_group())
            torch._foreach_mul_(copied, 1 / self.tensor.world)

    def norm(self, gradients: Mapping[str, Tensor]) -> float:
        """The global norm of gradients, each entry of the whole model's counted once."""
        if self.whole:
            return float(nn.utils.get_total_norm(list(gradients.values())))
        assert self._mesh is not None
        device = self._mesh.device_type
        split, copied = (
            _squares([g for n, g in gradients.items() if (split_dim(n) is None) == copy], device)
            for copy in (False, True)
        )
        squares = torch.stack([split, copied])
        if self.shards:
            dist.all_reduce(squares, group=self._mesh["data"].get_group())
        if self.tensor.world > 1:
            dist.all_reduce(squares[:1], group=self._mesh["tensor"].get_group())
        return math.sqrt(float(squares.sum()))

    # What this process holds of the whole.

    def local(self, tensor: Tensor) -> Tensor:
        """The part of a parameter or gradient that lies here, sharing its memory."""
        if not self.shards:
            return tensor
        from torch.distributed.tensor import DTensor

        assert isinstance(tensor, DTensor)
        return tensor.to_local()

    def box(self, name: str) -> Box:
        """Where in the whole the part of a parameter lies that this process holds."""
        data = self.rows if self.shards else ALONE
        dim = split_dim(name) if self.tensor.world > 1 else None
        return box_of(self._shapes[name], dim, self.tensor, data)

    def pieces(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor | Piece]:
        """What this process is to save of tensors called `WHAT.PARAMETER`: what no other saves.

        Copies are saved by turns.
        """
        if self._mesh is None:
            return dict(tensors)
        found: dict[str, Tensor | Piece] = {}
        for index, (name, tensor) in enumerate(tensors.items()):
            parameter = name.partition(".")[2]
            holders = 1 if self.shards else self.rows.world
            turn = self.shards or self.rows.rank == index % holders
            if split_dim(parameter) is None or self.tensor.world == 1:
                turn = turn and self.tensor.rank == index % self.tensor.world
            if turn and tensor.numel():
                box = self.box(parameter)
                found[name] = Piece(tensor, self._shapes[parameter], box.offsets)
        return found

    def parts(self, saved: PieceFiles) -> Mapping[str, Tensor]:
        """What lies here of what a run on any number of processes has saved with `pieces`."""
        return saved if self.whole else _Parts(self, saved)

    def weights(self, model: nn.Module, dtype: Precision, scratch: Path) -> Mapping[str, Tensor]:
        """A trained model's weights in `dtype`; of one that is divided, on the first process only,
        and each read when it is asked for.

        Args:
            scratch: a folder that all processes see. Parts go through files, so that no process
                needs memory for more than a tensor beside what it holds.
        """
        if self.whole:
            return model.state_dict()
        parts = {
            f"weight.{name}": self.local(p.detach()).to(DTYPES[dtype])
            for name, p in model.named_parameters()
        }
        saved = Checkpoints(scratch, share=self.processes)
        self.wait()  # what an earlier attempt left is gone
        saved.save(0, self.pieces(parts), {})
        if not self.leads:
            return {}
        checkpoint = saved.latest()
        assert checkpoint is not None
        return _Weights(checkpoint.tensors)

    def after_evaluation(self, model: nn.Module) -> None:
        """Free weights that were gathered for a forward pass without a backward one."""
        if self.shards:
            model.reshard()  # type: ignore[operator]


class _Parts(Mapping[str, Tensor]):
    """Parts of saved tensors, read when asked for."""

    def __init__(self, parallel: Parallel, saved: PieceFiles) -> None:
        self._parallel = parallel
        self._saved = saved

    def __getitem__(self, name: str) -> Tensor:
        return self._saved.box(name, *self._parallel.box(name.partition(".")[2]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._saved)

    def __len__(self) -> int:
        return len(self._saved)


class _Weights(Mapping[str, Tensor]):
    """Whole tensors under their parameters' names, read when asked for."""

    def __init__(self, saved: PieceFiles) -> None:
        self._saved = saved

    def __getitem__(self, name: str) -> Tensor:
        return self._saved[f"weight.{name}"]

    def __iter__(self) -> Iterator[str]:
        return (name.partition(".")[2] for name in self._saved)

    def __len__(self) -> int:
        return len(self._saved)


ONE_PROCESS = Parallel("ddp", ALONE, ALONE, None)


def parallel_of(
    kind: ParallelKind, tensor_parallel: int, device: str, *, lora: Lora | None = None
) -> Parallel:
    """The place of this process in the mesh of all that `torchrun` started.

    Args:
        tensor_parallel: processes that share each layer; neighbours, which are of one machine.
        lora: adapters that the model has.

    Raises:
        UsageError: the processes do not divide so, or adapters were to be divided.
    """
    if tensor_parallel > 1 and lora is not None:
        raise UsageError(
            "adapters are not divided by tensor_parallel",
            fix="Take --parallel fsdp alone: with adapters it needs little more than the weights.",
        )
    world = dist.get_world_size() if dist.is_initialized() else 1
    if world % tensor_parallel:
        raise UsageError(
            f"tensor_parallel {tensor_parallel} does not divide {world} processes",
            fix="Start a multiple of it: torchrun --nproc-per-node.",
        )
    if world == 1:
        return ONE_PROCESS
    from torch.distributed.device_mesh import init_device_mesh

    shape = (world // tensor_parallel, tensor_parallel)
    mesh = init_device_mesh(device, shape, mesh_dim_names=("data", "tensor"))
    data, tensor = divmod(dist.get_rank(), tensor_parallel)
    return Parallel(kind, Share(data, shape[0]), Share(tensor, tensor_parallel), mesh)


def box_of(shape: Sequence[int], dim: int | None, tensor: Share, data: Share) -> Box:
    """The part of a parameter of `shape` that a process holds.

    Args:
        dim: what tensor parallelism divides, evenly; None: nothing.
        tensor: place among those that divide `dim`.
        data: place among those that then divide the rows (dimension 0), the first ones getting one
            more where they do not come out even, as `fully_shard` does.
    """
    offsets, extent = [0] * len(shape), list(shape)
    if dim is not None:
        extent[dim] //= tensor.world
        offsets[dim] = tensor.rank * extent[dim]
    most = -(-extent[0] // data.world)
    begin = min(data.rank * most, extent[0])
    offsets[0] += begin
    extent[0] = min(begin + most, extent[0]) - begin
    return Box(tuple(offsets), tuple(extent))


def _squares(tensors: list[Tensor], device: str) -> Tensor:
    if not tensors:
        return torch.zeros((), dtype=torch.float64, device=device)
    return torch.stack(torch._foreach_norm(tensors)).double().square().sum()


def _all_reduce(tensors: list[Tensor], group: dist.ProcessGroup) -> None:
    """Sum each tensor over the group, in place, several in a message."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        bucket.append(tensor)
        size += tensor.nbytes
        if size >= _BUCKET_BYTES:
            _reduce_bucket(bucket, group)
            bucket, size = [], 0
    if bucket:
        _reduce_bucket(bucket, group)


def _reduce_bucket(tensors: list[Tensor], group: dist.ProcessGroup) -> None:
    if len(tensors) == 1 and tensors[0].is_contiguous():
        dist.all_reduce(tensors[0], group=group)
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat, group=group)
    pieces = torch.split(flat, [tensor.numel() for tensor in tensors])
    torch._foreach_copy_(
        tensors, [piece.view_as(t) for piece, t in zip(pieces, tensors, strict=True)]
    )
