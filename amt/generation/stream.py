"""Music while it is being written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NoReturn

from amt.generation.piece import Piece
from amt.midi.canonical import in_range
from amt.midi.config import TokenizerConfig
from amt.midi.events import TimedEvent, Timeline
from amt.midi.plan import transposed_chord

if TYPE_CHECKING:
    from amt.decoding.hypothesis import NewToken
    from amt.request.request import Prompt


class Stream:
    """An iterator of events, one for each token, each as soon as the model has written it. Made by `amt.stream`.

    The model runs only while an event is asked for that is not there. It is some milliseconds ahead at most, and one
    step. So whoever asks no more has stopped it, by `break`, Ctrl-C or `cancel()`, and `result()` has what was given.

    Args:
        prompt: what is asked for, and the tokens that the music begins with.
        new_tokens: those that follow, as they come.
        tokenizer_config: what they mean.
        make_piece: makes the piece of all tokens and the log-probabilities of the new ones.
    """

    def __init__(
        self,
        prompt: Prompt,
        new_tokens: Iterator[NewToken],
        tokenizer_config: TokenizerConfig,
        make_piece: Callable[[tuple[int, ...], tuple[float, ...]], Piece],
    ):
        self.seed = prompt.seed
        self._prefix, self._semitones = prompt.prefix, prompt.semitones
        self._new_tokens, self._make_piece = new_tokens, make_piece
        self._timeline = Timeline(tokenizer_config)
        self._written: list[NewToken] = []
        self._num_given = 0
        self._is_cancelled = False

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Stream is bound to the model that is writing; copy or pickle its result()")

    def __iter__(self) -> Iterator[TimedEvent]:
        return self

    def __next__(self) -> TimedEvent:
        if self._is_cancelled:
            raise StopIteration
        place = self._num_given - len(self._prefix)
        if place < 0:
            token_id = self._prefix[place]
        else:
            if place == len(self._written):
                self._written.append(next(self._new_tokens))
            token_id = self._written[place].token_id
        self._num_given += 1
        event = self._timeline.take(token_id)
        if self._semitones and event.kind in ("note_on", "note_off") and not event.is_drum:
            return event._replace(value=in_range(event.value + self._semitones))
        if self._semitones and event.kind == "chord":
            return event._replace(value=transposed_chord(event.value, self._semitones))
        return event

    def cancel(self) -> None:
        """Let no step begin any more; the iterator ends. Any thread may call this."""
        self._is_cancelled = True

    def result(self) -> Piece:
        """The piece as far as it is written, without a wait: whole when the iterator has ended by itself.

        What sounds at its end is closed there. With `prompt_midi` it begins with that.
        """
        written = list(self._written)
        return self._make_piece(
            (*self._prefix, *(token.token_id for token in written)), tuple(token.log_prob for token in written)
        )
