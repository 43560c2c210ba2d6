"""Token ids and the events they stand for."""

from amt.reference.vocabulary import (
    BOS_ID,
    DRUMS,
    EOS_ID,
    PAD_ID,
    Event,
    Vocabulary,
    time_signature,
    time_signature_index,
)

__all__ = [
    "BOS_ID",
    "DRUMS",
    "EOS_ID",
    "PAD_ID",
    "Event",
    "Vocabulary",
    "time_signature",
    "time_signature_index",
]
