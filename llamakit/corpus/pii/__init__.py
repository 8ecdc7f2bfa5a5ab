"""Personal data is found in text, checked, and replaced."""
