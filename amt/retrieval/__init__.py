"""Pieces and texts in one space: describing a piece, and searching a folder."""
