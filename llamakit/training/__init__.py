"""The one training loop, its optimizer, schedule, batches, checkpoints and metrics."""
