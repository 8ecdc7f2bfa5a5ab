"""What language models are trained on: the next token."""

from __future__ import annotations

from torch import nn

from llamakit.model.loss import next_token_loss
from llamakit.model.transformer import Transformer
from llamakit.training.accumulation import Loss
from llamakit.training.batches import Batch


def next_token(model: nn.Module, batch: Batch) -> Loss:
    """Cross-entropy in nats of each trained target, summed; `count` is the number of targets."""
    assert isinstance(model, Transformer)
    hidden_BLD = model(batch.ids_BL, positions_BL=batch.positions_BL, segments_BL=batch.segments_BL)
    total, count = next_token_loss(hidden_BLD, model.head_weight, batch.targets_BL, batch.mask_BL)
    return Loss(total, count)
