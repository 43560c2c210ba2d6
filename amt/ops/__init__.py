"""Operations with more than one backend: one signature, one meaning."""

from amt.ops.attention import attention, attention_backend, explain, explain_attention

__all__ = ["attention", "attention_backend", "explain", "explain_attention"]
