"""The twin of csrc/midi: files, tokens and grammar in plain Python. It says what is right."""
