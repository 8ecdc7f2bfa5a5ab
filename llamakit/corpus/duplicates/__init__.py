"""Exact and near-duplicate documents are found, verified and removed."""
