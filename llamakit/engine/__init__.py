"""Run one function over many shards."""
