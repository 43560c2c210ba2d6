"""A piece to look at and to listen to."""
