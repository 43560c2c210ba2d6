"""Operations with more than one backend: one signature, one meaning."""

from amt.ops.attention import attention

__all__ = ["attention"]
