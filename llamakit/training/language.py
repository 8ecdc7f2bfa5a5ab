"""Training a language model from start to saved folder: what pretraining and fine-tuning share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Model
from llamakit.model.exchange.peft import ADAPTER_FOLDER, write_adapter
from llamakit.model.lora import Lora, MergedWeights
from llamakit.model.transformer import Transformer
from llamakit.model.weights import save_model
from llamakit.text.vocabulary import Vocabulary
from llamakit.training.accumulation import mean_loss
from llamakit.training.batches import Batch
from llamakit.training.card import model_card
from llamakit.training.loop import fit
from llamakit.training.machine import threads
from llamakit.training.meter import Meter
from llamakit.training.metrics import METRICS_FILE, read_metrics
from llamakit.training.objectives import next_token
from llamakit.training.parallel import ONE_PROCESS, Parallel
from llamakit.training.plan import TrainingPlan
from llamakit.training.plots import write_training_page
from llamakit.training.prefetch import Batches
from llamakit.training.watch import Watcher


def train_language_model(
    draft: Draft[Model],
    model: Transformer,
    vocabulary: Vocabulary,
    batches: Batches[Batch],
    plan: TrainingPlan,
    *,
    validation: Sequence[Batch],
    n_threads: int,
    chat: bool,
    title: str,
    about: str,
    facts: Mapping[str, str | int | float],
    parallel: Parallel = ONE_PROCESS,
    weights: Iterable[tuple[str, Tensor]] | None = None,
    meter: Meter | None = None,
    watchers: Sequence[Watcher] = (),
    sources: Mapping[str, int] | None = None,
    lora: Lora | None = None,
) -> dict[str, float]:
    """Fit `model` to the next tokens of `batches` and save it into the draft with log and card.

    Args:
        draft: checkpoints go to its scratch, the report to its log, the model to its top.
        model: trained in place.
        vocabulary: saved with the model.
        batches: training data.
        plan: settings.
        validation: held-out batches whose loss is measured on the way; may be empty.
        n_threads: threads to compute with, 0 for torch's choice.
        chat: whether the model knows the chat format afterwards.
        title: heading of card and report.
        about: the card's paragraph.
        facts: what the card tells of the data.
        parallel: the processes that train together; only the first writes the model.
        weights: of a model on the meta device, every weight by name, as it is to begin.
        meter: knows the run's share of the device's peak, for log and report.
        watchers: shown each row of the log.
        sources: tokens read of each source, for the report.
        lora: adapters that were added to the model: they are saved beside it, and merged into it.

    Returns:
        Metrics for the record: `loss`, `tokens` (trained on), `anomalies` (batches) and
        `passed_over` (steps, for them), and of validation data `validation_loss` and `perplexity`.
    """

    def evaluate(model: nn.Module) -> dict[str, float]:
        means = mean_loss(model, next_token, validation, plan.device, parallel)
        return {"validation_loss": means["loss"]}

    with threads(n_threads):
        result = fit(
            model,
            next_token,
            batches,
            plan,
            checkpoints=draft.work / "checkpoints",
            log=draft.log,
            events=draft.events,
            evaluate=evaluate if validation else None,
            parallel=parallel,
            weights=weights,
            utilisation=meter.utilisation if meter else None,
            watchers=watchers,
        )
        trained = parallel.weights(model, plan.dtype, draft.work / "weights")
    metrics = {"loss": result.last["loss"], "tokens": float(result.tokens)}
    if validation:
        metrics["validation_loss"] = result.last["validation_loss"]
        metrics["perplexity"] = math.exp(min(metrics["validation_loss"], 700))
    shown = {name.replace("_", " "): value for name, value in metrics.items()}
    shown["tokens"] = result.tokens
    metrics["anomalies"] = float(result.anomalies)
    metrics["passed_over"] = float(result.passed_over)
    if not parallel.leads:
        return metrics
    if result.passed_over:
        shown["steps passed over"] = result.passed_over
    if lora is not None:
        write_adapter(draft.path / ADAPTER_FOLDER, trained, lora, reward=False)
        trained = MergedWeights(trained, lora)
        facts = {
            **facts,
            "trained": f"LoRA of {', '.join(lora.targets)}: rank {lora.rank}, "
            f"alpha {lora.alpha:g}; in `adapter`, and merged",
        }
    card = model_card(title, about, model.config, plan, {**facts, **shown})
    save_model(draft.path, model, vocabulary, chat=chat, card=card, weights=trained)
    write_training_page(
        draft.log,
        title,
        {"parameters": model.config.parameters(), "steps": plan.steps, **shown},
        sources=sources,
        usage=meter.usage(read_metrics(draft.log / METRICS_FILE)) if meter else None,
    )
    return metrics
