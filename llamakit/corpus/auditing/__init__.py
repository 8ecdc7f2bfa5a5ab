"""What is wrong with dialogues: structure, contents, copies."""
