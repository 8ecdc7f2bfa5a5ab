"""Vocabulary, dialogue rendering, token stores."""
