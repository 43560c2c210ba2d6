"""Choosing tokens: greedy search, sampling and beam search over a model, under a grammar and other rules."""

from amt.decoding.generate import decode, generate, make_request, stream
from amt.decoding.hypothesis import FinishReason, Hypothesis, NewToken

__all__ = ["FinishReason", "Hypothesis", "NewToken", "decode", "generate", "make_request", "stream"]
