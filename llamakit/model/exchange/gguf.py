"""Models for llama.cpp: one GGUF file with weights, vocabulary and chat template.

Matrices are f32, f16, bf16 or q8_0 (blocks of 32 numbers of 8 bits that share a scale); norms stay
f32. In q8_0 a matrix whose rows are no multiple of 32 stays f16, as llama.cpp's own tools leave it.
Written by the `gguf` package, a weight at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from llamakit.errors import InputError, UsageError
from llamakit.model.checkpoint import Checkpoint
from llamakit.model.exchange.names import gguf_name
from llamakit.model.rotary import pairs_from_halves, rotated_heads
from llamakit.text.pieces import kind_of
from llamakit.text.proto import CONTROL
from llamakit.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 32
_LARGEST_F16 = 65_504.0


def write_gguf(
    path: Path,
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    *,
    dtype: str,
    name: str,
    chat_template: str | None,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Write one file.

    Args:
        dtype: `f32`, `f16`, `bf16` or `q8_0`.
        name: what llama.cpp calls the model.
        chat_template: goes in as it is.
        written: called after each weight.

    Raises:
        UsageError: the `gguf` package is not installed.
        InputError: a weight is too large for f16.
    """
    gguf = _package()
    writer = gguf.GGUFWriter(path, "llama")
    try:
        _add_shape(writer, checkpoint)
        writer.add_name(name)
        writer.add_file_type(gguf.LlamaFileType[_FILE_TYPES[dtype]])
        if dtype == "q8_0":
            writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_vocabulary(writer, vocabulary)
        if chat_template:
            writer.add_chat_template(chat_template)
        kinds = {
            weight: gguf.GGMLQuantizationType[_kind(tuple(shape), dtype)]
            for weight, shape in checkpoint.shapes.items()
        }
        for weight, shape in checkpoint.shapes.items():
            kind = kinds[weight]
            bytes_shape = gguf.quant_shape_to_byte_shape(tuple(shape), kind)
            writer.add_tensor_info(
                gguf_name(weight), bytes_shape, np.dtype(np.uint8), int(np.prod(bytes_shape)), kind
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for weight in checkpoint.shapes:
            numbers = _numbers(checkpoint, weight)
            kind = kinds[weight]
            largest = float(np.abs(numbers).max())
            # A block of q8_0 has its largest number, over 127, as its scale.
            if largest / {"F16": 1, "Q8_0": 127}.get(kind.name, np.inf) > _LARGEST_F16:
                raise InputError(
                    f"{weight} holds {largest:.4g}, more than {dtype} can",
                    where=checkpoint.where,
                    fix="Export it as bf16 or f32.",
                )
            packed: NDArray[Any] = gguf.quants.quantize(numbers, kind)
            writer.write_tensor_data(np.ascontiguousarray(packed).view(np.uint8))
            written()
    finally:
        writer.close()


_FILE_TYPES = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}


def _package() -> Any:
    try:
        import gguf
    except ModuleNotFoundError:
        raise UsageError(
            "GGUF files need the gguf package", fix='pip install "llamakit[export]"'
        ) from None
    return gguf


def _kind(shape: tuple[int, ...], dtype: str) -> str:
    if len(shape) == 1:
        return "F32"
    if dtype == "q8_0" and shape[-1] % _BLOCK:
        return "F16"
    return dtype.upper()


def _numbers(checkpoint: Checkpoint, name: str) -> NDArray[np.float32]:
    """One weight as float32, the rows of queries and keys in pairs as llama.cpp turns them."""
    tensor = checkpoint.read(name).to(torch.float32)
    heads = rotated_heads(name, checkpoint.config)
    if heads is not None:
        tensor = pairs_from_halves(tensor, heads)
    numbers: NDArray[np.float32] = tensor.numpy()
    return numbers


def _add_shape(writer: Any, checkpoint: Checkpoint) -> None:
    config = checkpoint.config
    writer.add_context_length(config.max_seq_len)
    writer.add_embedding_length(config.dim)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.ffn_dim)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_vocabulary(writer: Any, vocabulary: Vocabulary) -> None:
    """The pieces as llama.cpp's SentencePiece tokenizer reads them."""
    size = range(vocabulary.size)
    kinds = [kind_of(i) for i in range(min(vocabulary.size, 259))]
    kinds += [kind_of(i) if vocabulary.is_learned(i) else CONTROL for i in size[259:]]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([vocabulary.piece(i) for i in size])
    writer.add_token_scores([vocabulary.score(i) for i in size])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(vocabulary.bos)
    writer.add_eos_token_id(vocabulary.eos)
    writer.add_unk_token_id(vocabulary.unk)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(True)
