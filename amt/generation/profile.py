"""How long a piece takes, and what takes it."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

from amt.generation.piece import Piece

STAGES = ("text encoder", "encoder", "decode", "file")
NOT_STREAMED = (
    "progress", "streamer", "num_return_sequences", "num_beams", "length_penalty", "early_stopping", "rerank",
    "rerank_by",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Profile:
    """What `amt.profile` measured.

    Attributes:
        pieces: what was written meanwhile.
        load_s: seconds for model, text encoder and the engine's weights; about 0 if they were in memory.
        stages_s: seconds of each stage: "text encoder" (words to embeddings), "encoder" (of the model), "decode" (the
            loop over tokens), "file" (tokens to notes to bytes). Parts of a stage are named like "decode/attention".
        total_s: seconds from the text to the files' bytes, without `load_s`.
        first_token_s, first_note_s: seconds from the text to the first new token and note of a stream; None where there
            is none: with beams, or without notes.
        peak_memory_bytes: the most that the process has had in memory so far; None where the system does not say.
    """

    pieces: list[Piece]
    load_s: float
    stages_s: dict[str, float]
    total_s: float
    first_token_s: float | None
    first_note_s: float | None
    peak_memory_bytes: int | None

    @property
    def backend(self) -> str:
        """What decoded."""
        return self.pieces[0].backend

    @property
    def num_tokens(self) -> int:
        """New tokens of all pieces."""
        return sum(len(piece.token_log_probs) for piece in self.pieces)

    @property
    def num_notes(self) -> int:
        """Notes of all pieces."""
        return sum(len(piece.notes) for piece in self.pieces)

    @property
    def music_s(self) -> float:
        """Seconds of music in all pieces."""
        return sum(piece.duration_s for piece in self.pieces)

    @property
    def tokens_per_s(self) -> float:
        """New tokens a second of the stage "decode"."""
        return self.num_tokens / self.stages_s["decode"]

    @property
    def notes_per_s(self) -> float:
        """Notes a second of `total_s`."""
        return self.num_notes / self.total_s

    @property
    def real_time_factor(self) -> float:
        """Seconds of music for each second of `total_s`."""
        return self.music_s / self.total_s

    def to_dict(self) -> dict[str, Any]:
        """All numbers, as JSON knows them."""
        return {
            "backend": self.backend,
            "num_pieces": len(self.pieces),
            "num_tokens": self.num_tokens,
            "num_notes": self.num_notes,
            "music_s": self.music_s,
            "load_s": self.load_s,
            "stages_s": dict(self.stages_s),
            "total_s": self.total_s,
            "first_token_s": self.first_token_s,
            "first_note_s": self.first_note_s,
            "tokens_per_s": self.tokens_per_s,
            "notes_per_s": self.notes_per_s,
            "real_time_factor": self.real_time_factor,
            "peak_memory_bytes": self.peak_memory_bytes,
        }

    def __str__(self) -> str:
        def milliseconds(seconds: float | None) -> str:
            return "-" if seconds is None else f"{1000 * seconds:.1f} ms"

        rows = [("load", milliseconds(self.load_s))]
        rows += [
            (name, f"{milliseconds(seconds)} ({seconds / self.total_s:.0%})") for name, seconds in self.stages_s.items()
        ]
        rows += [
            ("total", f"{milliseconds(self.total_s)}, without load"),
            ("first token", milliseconds(self.first_token_s)),
            ("first note", milliseconds(self.first_note_s)),
            ("tokens", f"{self.num_tokens:,}, {self.tokens_per_s:,.0f} a second of decoding"),
            ("notes", f"{self.num_notes:,}, {self.notes_per_s:,.0f} a second"),
            ("music", f"{self.music_s:.1f} s, {self.real_time_factor:,.1f} times real time"),
            ("peak memory", "-" if self.peak_memory_bytes is None else f"{self.peak_memory_bytes / 2**20:,.0f} MiB"),
            ("backend", self.backend),
        ]
        return "\n".join(f"{name:17} {value}" for name, value in rows)


def peak_memory_bytes() -> int | None:
    """The most that the process has had in memory so far; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
