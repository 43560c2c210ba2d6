"""What a language model makes of words."""
