"""Documents that are no prose, or in other languages, are recognised."""
