"""A model made elsewhere becomes a model."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Model, Vocabulary
from llamakit.stages.fields import Identity, Input, ModelFiles
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Import(Stage):
    """Take over a Llama model: from Hugging Face, Meta or llama2.c.

    Reads a Hugging Face folder (safetensors or pytorch_model.bin, in shards too), Meta's
    params.json with consolidated.*.pth, and llama2.c's .bin with its tokenizer. Weights keep their
    precision and their values. Nothing that a file holds is run.
    """

    files: ModelFiles
    """The model's folder, or its files: .bin and tokenizer for llama2.c."""
    vocabulary: Input[Vocabulary | Model] | None = None
    """The model's vocabulary, where its files hold none."""
    adapter: ModelFiles = ()
    """A LoRA adapter that PEFT or llamakit has saved (its folder), to merge into the model."""
    seq_len: Identity[Annotated[int, Ge(2)] | None] = None
    """Context length of Meta's files, which do not tell it: 4096 by default, as of Llama 2."""
    chat: Identity[bool | None] = None
    """Whether the model knows Llama 2's chat format; by default whether its tokenizer has that
    chat template."""

    makes: ClassVar = Model
    revision: ClassVar = 1
    panel: ClassVar = "Training"

    def run(self, draft: Draft[Model]) -> Outcome:
        """Open the model where it lies, and write it one file of weights at a time."""
        from llamakit.model.card import imported_card
        from llamakit.model.exchange.legal import card_of, copy_legal_files
        from llamakit.model.exchange.peft import with_adapter
        from llamakit.model.exchange.sources import format_of, named_files, open_checkpoint
        from llamakit.model.exchange.tokenizers import reads_chat, take_tokenizer, with_rows_for
        from llamakit.model.weights import save_checkpoint

        sources = draft.files(self.files)
        files = named_files([source.path for source in sources])
        format_ = format_of(files)
        given = None if self.vocabulary is None else draft.input(self.vocabulary).path
        vocabulary = take_tokenizer(files, given, draft.work)
        checkpoint = open_checkpoint(files, format_, vocabulary.size, self.seq_len)
        for adapter in draft.files(self.adapter):
            checkpoint = with_adapter(checkpoint, adapter.path)
        config = checkpoint.config
        if added := config.vocab_size - vocabulary.size:
            vocabulary = with_rows_for(config.vocab_size, vocabulary, files, draft.work)
            draft.events.note(f"{added:,} ids of the model stand for no text")
        chat = reads_chat(files, draft.events) if self.chat is None else self.chat
        precision = str(checkpoint.dtype).removeprefix("torch.")
        facts = {"from": f"{sources[0].name} ({format_})", "precision": precision}
        with draft.events.task("import", total=len(checkpoint.shapes), unit="weights") as task:
            save_checkpoint(
                draft.path,
                checkpoint,
                vocabulary,
                chat=chat,
                card=card_of(files) or imported_card(sources[0].name, config, facts),
                written=task.advance,
            )
        copy_legal_files(files, draft.path)
        counts = {
            "parameters": config.parameters(),
            "weights": len(checkpoint.shapes),
            "added_pieces": added,
        }
        headline = f"{config.parameters():,} parameters, {precision}, from {format_}"
        return Outcome(counts=counts, headline=headline)
