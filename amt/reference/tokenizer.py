"""The tokenizer's meaning in plain Python: notes to token ids and back."""

from amt.reference.decode import DECODE_REPORT, decode
from amt.reference.encode import ENCODE_REPORT, encode

__all__ = ["DECODE_REPORT", "ENCODE_REPORT", "decode", "encode"]
