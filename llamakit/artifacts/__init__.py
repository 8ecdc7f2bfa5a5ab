"""Kinds, the record, the store and its upkeep, tables and report pages."""
