"""The embedded data: a seeded little world of facts, texts, dialogues and questions."""
