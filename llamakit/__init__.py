"""llamakit: the whole Llama 2 recipe, from raw text to an aligned, evaluated chat model."""

__version__ = "0.1.0"
