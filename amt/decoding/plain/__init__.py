"""Decoding in plain PyTorch: one prompt at a time, slow, and the meaning of every other backend."""
