"""Documents to documents: read, deduplicate, remove PII, filter, mix."""
