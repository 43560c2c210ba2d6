"""From a request to a piece."""
