"""Files of many forms become documents, dialogues or preferences."""
