"""Pieces that are longer than a model reads, in windows.

A window is a request of its own. Its prefix is the header and the last bars of what was written before, as many as fit
into half of the model's positions; then the model goes on until they are full. Only what the model reads is cut: tokens
are those of the whole piece, under its one grammar, with its random numbers. So limits hold over the seams, no note
ends or begins there, and a piece is the same in any batch. A model that is told how many bars are left hears how many
there are from the first one that it reads.

A piece that fits has one window, which is the plain request. With beams each window is searched by itself.

Where a section of the plan comes again (`Prompt.returns`), the notes of the first one are taken: the model goes on
behind them. What it had written there is left behind.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from amt.decoding.deadline import Deadline
from amt.decoding.generate import decode, finished, tokens_of
from amt.decoding.hypothesis import NewToken
from amt.midi.config import TokenizerConfig
from amt.midi.grammar import Grammar
from amt.midi.vocabulary import vocabulary_of
from amt.midi.window import Written
from amt.request.request import Before, Prompt, Request

if TYPE_CHECKING:
    from amt.decoding.backends import Choice, State
    from amt.decoding.hypothesis import FinishReason, Hypothesis
    from amt.midi.returns import Return

HEADER_LEN = 3  # of the preset "score": behind it metre and tempo are known, and seconds are a number of bars
SHORTEST_PREFIX = 8
SEGMENT = 256  # tokens that candidates are apart before the best of them goes on
SHORTEST_SEGMENT = 32  # before a section that comes again: what is written behind its beginning is left behind
RETRIES = 2  # of a segment of which no candidate is fine
SEQUENCES_APART = 1 << 16  # more than a request has samples


Judge = Callable[[Prompt, tuple[int, ...], int], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Reader:
    """What reads the windows.

    Attributes:
        config: of the tokenizer.
        max_len: how many positions the model has.
        told: of a prompt and a number of bars its attributes; None: the model is not told how many bars there are.
    """

    config: TokenizerConfig
    max_len: int
    told: Callable[[Prompt, int], tuple[int, ...]] | None


class Long:
    """A piece on its way.

    Args:
        prompt: what is asked for; its prefix may be longer than the model reads.
        reader: what reads its windows.

    Attributes:
        log_probs: for each new token the model's log-probability.
    """

    def __init__(self, prompt: Prompt, reader: Reader):
        self.prompt, self._reader = prompt, reader
        self._written = Written(reader.config, prompt.prefix)
        self.log_probs: list[float] = []
        self._returns = list(prompt.returns)
        self._finish_reason: FinishReason = "length"  # of the last window

    @property
    def token_ids(self) -> tuple[int, ...]:
        """What is written, the prefix included."""
        return tuple(self._written.ids)

    @property
    def tokens_left(self) -> int:
        """How many tokens may follow."""
        return self.prompt.max_new_tokens - len(self.log_probs)

    @property
    def is_done(self) -> bool:
        return self._finish_reason != "length" or self.tokens_left == 0

    @property
    def expected_tokens(self) -> int:
        """How many new tokens it comes to, about."""
        num, us = len(self.log_probs), self._target_us
        if self.is_done or num == 0:
            return num or min(self.tokens_left, self._reader.max_len)
        part = max(
            0.01,
            float(self._written.elapsed_us) / us if us else 0.0,
            self._written.num_bars / self.prompt.num_bars if self.prompt.num_bars else 0.0,
        )
        return max(num, min(round(num / part), self.prompt.max_new_tokens))

    @property
    def has_returns(self) -> bool:
        """Whether an earlier section comes again."""
        return bool(self._returns)

    @property
    def segment_len(self) -> int:
        """How many tokens a segment shall have: not many more than there are up to a section that comes again."""
        if not self._returns:
            return SEGMENT
        steps = self._step_of(self._returns[0].start) - self.step
        tokens_a_step = len(self._written.ids) / max(self.step, self._written.bar_steps)
        return min(SEGMENT, max(SHORTEST_SEGMENT, round(1.1 * steps * tokens_a_step)))

    @property
    def step(self) -> int:
        """The place in the music that is reached."""
        return self._written.step

    def with_new(self, found: Hypothesis) -> tuple[int, ...]:
        """The tokens with what came in a window."""
        return (*self._written.ids, *found.token_ids[len(found.token_ids) - found.num_new_tokens :])

    def next_prompt(self) -> Prompt:
        """The prompt of the next window."""
        prompt, written, longest = self.prompt, self._written, self._reader.max_len
        is_first = not self.log_probs
        fits = len(written.ids) + self.tokens_left <= longest
        kept = max(longest // 2, min(longest - 1, SHORTEST_PREFIX))
        window = written.last_bars(longest if fits else kept)
        most_tokens = min(self.tokens_left, longest - len(window.ids))
        num_bars, attributes = prompt.num_bars, prompt.attributes
        if self._reader.told is not None:
            if num_bars == 0 and self._target_us:
                if self._reader.config.preset == "score" and len(written.ids) < HEADER_LEN:
                    most_tokens = min(most_tokens, HEADER_LEN - len(written.ids))
                else:
                    num_bars = written.bars_at(self._target_us)
            if num_bars:
                num_bars = max(1, num_bars - window.first_bar)
                attributes = self._reader.told(prompt, num_bars)
        is_whole = is_first and most_tokens == self.tokens_left and len(window.ids) == len(written.ids)
        return dataclasses.replace(
            prompt,
            prefix=window.ids,
            max_new_tokens=most_tokens,
            before=None if is_whole else Before(self.token_ids, len(self.log_probs), self.tokens_left),
            num_bars=num_bars,
            attributes=attributes,
        )

    @property
    def _target_us(self) -> int:
        """When it ends, about; 0: unknown."""
        grammar = self.prompt.grammar
        if not isinstance(grammar, Grammar):
            return 0
        low, high = grammar.constraints.min_us, grammar.constraints.max_us
        return 0 if low is None or high is None else (low + high) // 2

    def take(self, found: Hypothesis) -> tuple[int, ...]:
        """What came in a window; where an earlier section comes again, with that.

        Returns:
            the tokens that follow those that were there.
        """
        num_before = len(self._written.ids)
        self._written.extend(found.token_ids[len(found.token_ids) - found.num_new_tokens :])
        self.log_probs += found.token_log_probs
        self._finish_reason = found.finish_reason
        while self._returns and self._written.step >= self._step_of(self._returns[0].start):
            if self._come_again(self._returns.pop(0), num_before):
                break
        return tuple(self._written.ids[num_before:])

    def take_token(self, token: NewToken) -> None:
        """One token of a window."""
        self._written.extend([token.token_id])
        self.log_probs.append(token.log_prob)

    def end(self, reason: FinishReason) -> None:
        """The window of these tokens has ended."""
        self._finish_reason = reason

    def come_again_before(self, token_id: int) -> list[int]:
        """The tokens of an earlier section, if this one would lead to where it comes again; else none."""
        event = vocabulary_of(self._reader.config).events[token_id]
        num_before, step = len(self._written.ids), self._written.step + event.value * (event.kind == "time_shift")
        while self._returns and len(self._written.ids) == num_before and step >= self._step_of(self._returns[0].start):
            self._come_again(self._returns.pop(0), num_before)
        return self._written.ids[num_before:]

    def _step_of(self, half_bar: int) -> int:
        return half_bar * self._written.bar_steps // 2

    def _come_again(self, again: Return, num_fixed: int) -> bool:
        """An earlier section instead of what stands at its place, if the limits allow it; whether they do.

        Args:
            num_fixed: tokens that stay as they are.
        """
        found = self._written.come_again(*map(self._step_of, (again.start, again.source, again.length)))
        if found is None or found[0] < num_fixed:
            return False
        num_kept, ids = found
        num_new = num_kept - len(self.prompt.prefix)
        if num_new < 0 or num_new + len(ids) >= self.prompt.max_new_tokens or not self._may_stand(num_kept, ids):
            return False
        self._written = Written(self._reader.config, (*self._written.ids[:num_kept], *ids))
        self.log_probs = [*self.log_probs[:num_new], *[0.0] * len(ids)]
        self._finish_reason = "length"
        return True

    def _may_stand(self, num_kept: int, ids: Sequence[int]) -> bool:
        """Whether the grammar allows these tokens behind the first ones, and leaves room for the end."""
        if self.prompt.grammar is None:
            return True
        state = self.prompt.grammar.start()
        try:
            for token_id in (*self._written.ids[:num_kept], *ids):
                state.advance(token_id)
        except ValueError:
            return False
        num_new = num_kept + len(ids) - len(self.prompt.prefix)
        return bool(state.tokens_to_close < self.prompt.max_new_tokens - num_new)


def decode_long(
    choice: Choice,
    request: Request,
    reader: Reader,
    *,
    streamer: Any = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Long]]:
    """Decode a request in as many windows as its pieces need.

    Args:
        choice: what decodes it.
        request: what is asked for.
        reader: what reads the windows.
        streamer: gets one piece after the other, as in `amt.decoding.decode`.
        progress: called with (new tokens so far, about how many there will be), over all pieces.

    Returns:
        For each prompt its pieces, in beam search the best first (fewer if fewer exist).

    Raises:
        as `amt.decoding.decode`.
    """
    deadline = Deadline(request.options.max_time)
    begun = [Long(prompt, reader) for prompt in request.prompts]
    first = _with(request, begun)
    if all(prompt.before is None and not prompt.returns for prompt in first.prompts):
        results = decode(choice, first, streamer=streamer, progress=progress, deadline=deadline)
        return [_pieces(piece, found, reader, request) for piece, found in zip(begun, results, strict=True)]
    if streamer is not None:
        return _streamed(choice, request, reader, deadline, streamer, progress)

    def num_written() -> int:
        return sum(len(each.log_probs) for of_prompt in pieces for each in of_prompt)

    told = before = 0

    def tell(done: int, _: int = 0) -> None:
        nonlocal told
        told = max(told, before + done)  # sequences that end early count as whole while they are decoded
        if progress:
            progress(told, max(told, sum(each.expected_tokens for of_prompt in pieces for each in of_prompt)))

    pieces = [[piece] for piece in begun]
    results = decode(choice, first, progress=tell, deadline=deadline)
    pieces = [_pieces(piece, found, reader, request) for piece, found in zip(begun, results, strict=True)]
    alone = dataclasses.replace(request, options=dataclasses.replace(request.options, num_return_sequences=1))
    while running := [each for of_prompt in pieces for each in of_prompt if not each.is_done]:
        if deadline.is_over():
            break
        before = num_written()
        results = decode(choice, _with(alone, running), progress=tell, deadline=deadline)
        for piece, (found, *_) in zip(running, results, strict=True):
            piece.take(found)
    before = num_written()
    tell(0)
    return pieces


def decode_best(
    choice: Choice,
    request: Request,
    reader: Reader,
    num_pieces: int,
    judge: Judge,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> list[list[Long]]:
    """Decode a request in segments: of each there are several candidates, and the best of them goes on.

    Where none of a segment is fine, there are others, up to `RETRIES` times.

    Args:
        request: whose `num_return_sequences` are candidates, the same number for each piece.
        num_pieces: of each text.
        judge: of a prompt, its tokens so far and the step at which the segment began, how bad they are: the smallest is
            best, of equal ones the first; if the first number is not 0, the segment is not fine.
        choice, reader, progress: see `decode_long`.

    Returns:
        For each prompt its pieces.

    Raises:
        as `amt.decoding.decode`.
    """
    deadline = Deadline(request.options.max_time)
    num_candidates = request.options.num_return_sequences // num_pieces
    request = dataclasses.replace(
        request, options=dataclasses.replace(request.options, num_return_sequences=num_candidates)
    )
    pieces = [
        [
            Long(dataclasses.replace(prompt, first_sequence=prompt.first_sequence + number * num_candidates), reader)
            for number in range(num_pieces)
        ]
        for prompt in request.prompts
    ]
    everything = [piece for of_prompt in pieces for piece in of_prompt]
    told = 0
    while (begun := [piece for piece in everything if not piece.is_done]) and not (told and deadline.is_over()):
        windows = [_Window(piece) for piece in begun]
        with contextlib.closing(_Segments(choice, request, deadline, windows)) as segments:
            while left := [window for window in windows if not window.is_done]:
                if told and deadline.is_over():
                    break
                segments.write(left, judge)
                for window in left:
                    window.take_best()
                told = max(told, sum(len(piece.log_probs) for piece in everything))
                if progress:
                    progress(told, max(told, sum(piece.expected_tokens for piece in everything)))
    return pieces


class _Window:
    """A window of a piece that is written in segments.

    Attributes:
        piece: whose it is.
        best: how bad the best candidate of the segment is, and itself.
    """

    def __init__(self, piece: Long):
        self.piece = piece
        self.best: tuple[tuple[float, float], Hypothesis] | None = None
        self._whole = piece.next_prompt()
        self._prefix, self._tokens_left = self._whole.prefix, self._whole.max_new_tokens

    @property
    def is_done(self) -> bool:
        return self.piece.is_done or self._tokens_left == 0

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong with the best candidate."""
        return self.best is not None and self.best[0][0] == 0

    def segment(self, attempt: int) -> Prompt:
        """The prompt of the next segment."""
        return dataclasses.replace(
            self.rest(),
            max_new_tokens=min(self._tokens_left, self.piece.segment_len),
            first_sequence=self._whole.first_sequence + attempt * SEQUENCES_APART,
            room=self._tokens_left,
        )

    def rest(self) -> Prompt:
        """The prompt of all that is left."""
        piece = self.piece
        return dataclasses.replace(
            self._whole,
            prefix=self._prefix,
            max_new_tokens=self._tokens_left,
            before=Before(piece.token_ids, len(piece.log_probs), piece.tokens_left),
        )

    def take_best(self) -> None:
        """Go on with the best candidate."""
        if self.best is not None:
            self.extend(self.piece.take(self.best[1]))
            self.best = None

    def extend(self, new: tuple[int, ...]) -> None:
        """Go on behind these tokens, which the piece has."""
        self._prefix += new
        self._tokens_left = max(0, self._tokens_left - len(new))


class _Segments:
    """What decodes the segments of windows."""

    def __init__(self, choice: Choice, request: Request, deadline: Deadline, windows: Sequence[_Window]):
        self._choice, self._request, self._deadline, self._windows = choice, request, deadline, windows
        self._state: State | None = None
        self._places: dict[int, int] = {}  # of windows, by number, among the prompts of the state

    def write(self, windows: Sequence[_Window], judge: Judge) -> None:
        """The next segment of each of these windows: the best of its candidates."""
        num_candidates = self._request.options.num_return_sequences
        for attempt in range(1 if num_candidates == 1 else 1 + RETRIES):
            running = [each for each in windows if not (each.is_fine or (each.best and self._deadline.is_over()))]
            for window, found in zip(running, self._decode(running, attempt), strict=True):
                for each in found:
                    badness = (0.0, 0.0)
                    if num_candidates > 1:
                        badness = judge(window.piece.prompt, window.piece.with_new(each), window.piece.step)
                    if window.best is None or badness < window.best[0]:
                        window.best = badness, each

    def _decode(self, running: Sequence[_Window], attempt: int) -> list[list[Hypothesis]]:
        """The candidates of the next segment of each of these windows."""
        if not running:
            return []
        prompts = {self._windows.index(window): window.segment(attempt) for window in running}
        state = self._state
        goes_on = state is not None and self._places.keys() >= prompts.keys()
        if state is None or not (
            goes_on and state.go_on({self._places[number]: prompt for number, prompt in prompts.items()})
        ):
            self.close()
            request = dataclasses.replace(self._request, prompts=tuple(prompts.values()))
            state = self._state = self._choice.start(request, self._deadline)
            self._places = {number: place for place, number in enumerate(prompts)}
        results = finished(state)
        return [results[self._places[number]] for number in prompts]

    def close(self) -> None:
        """Nothing goes on any more."""
        if self._state is not None:
            self._state.close()


def stream_long(choice: Choice, request: Request, reader: Reader) -> Iterator[NewToken]:
    """Decode the one piece of a request, a token whenever one is asked for; see `amt.decoding.stream`."""
    deadline = Deadline(request.options.max_time)
    window = _Window(Long(request.prompts[0], reader))
    return _tokens(choice, request, window, _rest(choice, request, window, deadline), deadline)


def _tokens(choice: Choice, request: Request, window: _Window, state: State, deadline: Deadline) -> Iterator[NewToken]:
    piece = window.piece
    while not piece.has_returns:
        yield from tokens_of(state)
        piece.take(state.read()[0][0])
        if piece.is_done or deadline.is_over():
            return
        window = _Window(piece)
        state = _rest(choice, request, window, deadline)
    while True:
        for token in tokens_of(state):
            if again := piece.come_again_before(token.token_id):
                state.close()
                window.extend(tuple(again))
                yield from (NewToken(token_id, 0.0) for token_id in again)
                break
            piece.take_token(token)
            window.extend((token.token_id,))
            yield token
        else:
            piece.end(state.read()[0][0].finish_reason)
        if piece.is_done or deadline.is_over():
            return
        if window.is_done:
            window = _Window(piece)
        state = _rest(choice, request, window, deadline)


def _rest(choice: Choice, request: Request, window: _Window, deadline: Deadline) -> State:
    """The rest of a window on its way."""
    return choice.start(dataclasses.replace(request, prompts=(window.rest(),)), deadline)


def _streamed(
    choice: Choice,
    request: Request,
    reader: Reader,
    deadline: Deadline,
    streamer: Any,
    progress: Callable[[int, int], object] | None,
) -> list[list[Long]]:
    """One piece after the other, each of its tokens to the streamer."""
    if request.options.num_beams > 1:
        raise ValueError("a streamer cannot follow beams, which change their minds; use num_beams=1")
    pieces: list[list[Long]] = []
    done = 0
    for index in range(len(request.prompts)):
        pieces.append([])
        for sequence in range(request.sequences_per_prompt):
            alone = request.only(index, sequence)
            piece = Long(alone.prompts[0], reader)
            streamer.put(torch.tensor([piece.prompt.prefix], device="cpu"))
            window = _Window(piece)
            for token in _tokens(choice, alone, window, _rest(choice, alone, window, deadline), deadline):
                streamer.put(torch.tensor([token.token_id], device="cpu"))
                done += 1
                if progress:
                    progress(done, max(done, request.max_new_tokens))
            streamer.end()
            pieces[-1].append(piece)
    return pieces


def _with(request: Request, pieces: Sequence[Long]) -> Request:
    """The request of the next windows of pieces."""
    return dataclasses.replace(request, prompts=tuple(piece.next_prompt() for piece in pieces))


def _pieces(begun: Long, hypotheses: Sequence[Hypothesis], reader: Reader, request: Request) -> list[Long]:
    """The pieces of a prompt, which began as one."""
    pieces = []
    for number, found in enumerate(hypotheses):
        prompt = begun.prompt
        if request.options.num_beams == 1:
            prompt = dataclasses.replace(prompt, first_sequence=prompt.first_sequence + number)
        pieces.append(Long(prompt, reader))
        pieces[-1].take(found)
    return pieces
