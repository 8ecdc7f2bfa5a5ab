"""The transformer, its presets, key-value cache and generation, weights in and out."""
