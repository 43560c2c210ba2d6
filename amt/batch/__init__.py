"""Many prompts: a table of them, and a folder with what came of each."""
