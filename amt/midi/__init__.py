"""MIDI files, events and tokens. Nothing here imports torch."""
