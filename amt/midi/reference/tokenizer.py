"""The tokenizer's meaning in plain Python: notes to token ids and back.

Its twin is csrc/midi/tokenizer.h.
"""

from amt.midi.reference.decode import DECODE_REPORT, decode
from amt.midi.reference.encode import ENCODE_REPORT, encode

__all__ = ["DECODE_REPORT", "ENCODE_REPORT", "decode", "encode"]
