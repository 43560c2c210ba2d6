"""Several candidates for a text, decoded in one batch; the one that fits best is kept."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from amt.config import check_choice
from amt.generation.generator import write, write_best_segments
from amt.midi.sanity import final_bass, sanity, strain
from amt.midi.theory import parse_key
from amt.midi.vocabulary import EOS_ID
from amt.request.report import time_in_chords

if TYPE_CHECKING:
    from amt.decoding.backends import Choice
    from amt.generation.piece import Piece
    from amt.models.opened import OpenedModel
    from amt.request.request import Request

RerankBy = Literal["facts", "model"]
RERANK_BY: tuple[RerankBy, ...] = ("facts", "model")

# For one piece so many take at most twice the time of one; docs/status.md has the figures.
CANDIDATES = 2
# For several pieces of a text together.
MOST_CANDIDATES = 16
# How often more are written where all of them have no note.
RETRIES = 2
# What music has from its first bars on or not at all, and what missing it counts beside strain.
FROM_THE_BEGINNING = ("feel", "key", "mode")
MISSED = 0.1
BEGINNING_BEATS = 32.0


def num_candidates(rerank: int | None, num_pieces: int, *, is_sampling: bool) -> int:
    """How many candidates are written for the pieces of a text; the number depends on nothing else.

    Args:
        rerank: what the call says; None: the usual number, where tokens are drawn and nobody follows them.
    """
    if rerank is not None:
        return max(rerank, num_pieces)
    return max(min(num_pieces * CANDIDATES, MOST_CANDIDATES), num_pieces) if is_sampling else num_pieces


def check_rerank(rerank: object, by: object, opened: OpenedModel, num_beams: object = 1) -> None:
    """Raise ValueError if candidates cannot be ranked so."""
    from amt.retrieval.embedding import reads_midi

    if rerank is not None and (not isinstance(rerank, int) or isinstance(rerank, bool) or rerank < 1):
        raise ValueError(f"rerank must be a whole number of candidates, at least 1; got {rerank!r}")
    if isinstance(rerank, int) and isinstance(num_beams, int) and 1 < num_beams < rerank:
        raise ValueError(f"rerank ({rerank}) must be at most num_beams ({num_beams}): beam search has no more results")
    check_choice("rerank_by", by, RERANK_BY)
    if rerank != 1 and by == "model" and not reads_midi(opened.checkpoint.model):
        raise ValueError('rerank_by="model" needs a model that also reads MIDI (MusicTextTransformer); take "facts"')


def write_best(
    opened: OpenedModel,
    request: Request,
    choice: Choice,
    num_pieces: int,
    by: RerankBy = "facts",
    *,
    streamer: Any = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Piece]]:
    """For each text the best of what is written for it.

    By facts the candidates of a piece part for `long.SEGMENT` tokens, then the best of them goes on: what sticks or
    hangs is left behind. Other candidates are whole pieces. Where all of them have no note, more are written.
    """
    options = request.options
    is_drawn = options.do_sample and options.num_beams == 1 and streamer is None
    has_hooks = request.logits_processor or request.stopping_criteria
    has_returns = any(prompt.returns for prompt in request.prompts)
    of_segments = by == "facts" and options.num_beams == 1 and streamer is None and not has_hooks
    of_segments &= options.num_return_sequences % num_pieces == 0
    of_segments &= has_returns or (is_drawn and options.num_return_sequences > num_pieces)
    if not (of_segments or streamer):  # nothing else goes on behind a section that comes again
        prompts = tuple(dataclasses.replace(prompt, returns=()) for prompt in request.prompts)
        request = dataclasses.replace(request, prompts=prompts)

    def written(request: Request, progress: Callable[[int, int], object] | None = None) -> list[list[Piece]]:
        if of_segments:
            return write_best_segments(opened, request, choice, num_pieces, _badness, progress=progress)
        return write(opened, request, choice, streamer=streamer, progress=progress)

    results = written(request, progress)
    num_retries = RETRIES if is_drawn and options.max_time is None else 0
    for index, retry in itertools.product(range(len(results)), range(num_retries)):
        if not any(len(piece.notes) for piece in results[index]):
            prompt = request.prompts[index]
            first = prompt.first_sequence + (retry + 1) * options.num_return_sequences
            again = dataclasses.replace(request, prompts=(dataclasses.replace(prompt, first_sequence=first),))
            results[index] = written(again)[0]
    if of_segments:
        return results
    return [ranked(pieces, opened, by, num_pieces) if len(pieces) > num_pieces else pieces for pieces in results]


def _badness(piece: Piece, since_beats: float) -> tuple[float, float]:
    """Of a piece whose last segment began there: what must be better, and the faults of the whole.

    The first number is by how much the segment is insane, and more where the piece begins without the feel, key or mode
    that the text asks for: later segments go on as it begins; or where it ends elsewhere than it should. The second one
    has the share of the notes' time that is not in the chords of the plan, too.
    """
    missed = 0
    if since_beats < BEGINNING_BEATS and len(piece.notes):
        missed = sum(not row.is_met and row.name in FROM_THE_BEGINNING for row in piece.report)
    missed += _ends_elsewhere(piece)
    out_of_chords = 0.0 if piece.plan is None else 1 - time_in_chords(piece.music, piece.plan)
    return max(0.0, strain(piece.music, since_beats) - 1) + MISSED * missed, faults(piece) + out_of_chords


def _ends_elsewhere(piece: Piece) -> bool:
    """Whether a piece that has ended does so over another note than that of its key, or of its plan's last chord."""
    bass = final_bass(piece.music)
    if bass is None or piece.tokens[-1:] != (EOS_ID,):
        return False
    asked = {row.name: row.asked for row in piece.report}
    key = parse_key(asked.get("key", ""))
    if key is not None:
        return bass != key.tonic
    last = None if piece.plan is None or "chords" in asked else piece.plan.chords[-1]
    return last is not None and last.quality != "none" and bass != last.root


def faults(piece: Piece) -> int:
    """How many things are wrong with a piece: what was asked for and is not there, and what no sane music has."""
    return sum(not row.is_met for row in piece.report) + len(sanity(piece.music))


def ranked(pieces: Sequence[Piece], opened: OpenedModel, by: RerankBy, num: int | None = None) -> list[Piece]:
    """The best pieces of one text, the best first; of equal ones the one that was written first.

    "facts": by `faults`; a piece without notes is last. Equal ones, and with "model" all, go by the cosine between the
    text's embedding and what the model's MIDI -> text direction makes of the piece, if it has one (-1 without notes).

    Args:
        num: how many; None: all.
    """

    def fit(piece: Piece) -> tuple[bool, int]:
        return (False, 0) if by == "model" else (not len(piece.notes), faults(piece))

    fits = {id(piece): fit(piece) for piece in pieces}
    found: list[Piece] = []
    for _, group in itertools.groupby(sorted(pieces, key=lambda each: fits[id(each)]), lambda each: fits[id(each)]):
        if num is None or len(found) < num:
            equal = list(group)
            found += _by_model(equal, opened) if len(equal) > 1 else equal
    return found[:num]


def _by_model(pieces: Sequence[Piece], opened: OpenedModel) -> list[Piece]:
    """The pieces, the one nearest to the text first, each with its cosine."""
    from amt.retrieval.embedding import cosines, embed, reads_midi

    if not reads_midi(opened.checkpoint.model):
        return list(pieces)
    (wanted,) = opened.caption_embeddings([pieces[0].text or ""])
    embeddings = [embed(piece.music, opened) for piece in pieces]
    fits = [-1.0 if embedding is None else float(cosines(embedding[None], wanted)[0]) for embedding in embeddings]
    found = [dataclasses.replace(piece, text_cosine=cosine) for piece, cosine in zip(pieces, fits, strict=True)]
    return sorted(found, key=lambda piece: -(piece.text_cosine or 0.0))
