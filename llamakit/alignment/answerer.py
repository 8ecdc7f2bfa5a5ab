"""Who answers in a stage that samples, and how."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llamakit.alignment.models import open_model, open_shared_judges
from llamakit.alignment.scoring import Judges
from llamakit.alignment.served import Server
from llamakit.model.generation import Sampling
from llamakit.model.transformer import Transformer
from llamakit.model.weights import load_vocabulary
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.plan import Precision


@dataclass(frozen=True, kw_only=True)
class Answerer:
    """A model, where it computes or is served, and how its answers are drawn; small and
    picklable."""

    model: Path
    top_p: float
    max_new_tokens: int
    max_prompt_tokens: int
    """A longer prompt would leave its answer no room with the model or with a judge."""
    seed: int
    dtype: Precision
    device: str
    served: Server | None = None
    """Where the model is served, if this process is not to sample from it."""

    def sampling(self, temperature: float) -> Sampling:
        """How to draw answers at a temperature."""
        return Sampling(
            max_new_tokens=self.max_new_tokens, temperature=temperature, top_p=self.top_p, top_k=0
        )

    def opened(self) -> tuple[Transformer | Server, Vocabulary]:
        """What to sample from, opened once a process and not once a shard; and its vocabulary."""
        model = self.served or open_model(self.model, self.dtype, self.device)
        return model, load_vocabulary(self.model)

    def judges(self, helpfulness: Path | None, safety: Path | None, threshold: float) -> Judges:
        """The reward models that judge its answers, opened once a process."""
        return open_shared_judges(
            helpfulness, safety, threshold, self.model, self.dtype, self.device
        )
