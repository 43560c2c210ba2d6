"""What is asked for: the words, the limits, the options; and what came of it."""
