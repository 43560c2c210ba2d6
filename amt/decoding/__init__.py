"""Choosing tokens: greedy search, sampling and beam search over a model, under a grammar and other rules."""

from amt.decoding.generate import generate
from amt.decoding.hypothesis import FinishReason, Hypothesis

__all__ = ["FinishReason", "Hypothesis", "generate"]
