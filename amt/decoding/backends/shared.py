"""Continuous batching: the requests of many threads in one running batch of the compiled engine.

One thread runs the batch in chunks of some milliseconds. Between two chunks requests join it and leave it: their rows
are groups of a `Generation`, which knows `join` and `leave`. Every row gets one token in every pass, so the batch is
fair, and requests that do not fit wait in the order in which they came. What a request comes to is what it would come
to alone: a row's tokens do not depend on the batch (csrc/engine/README.md).

A request's first tokens are written before it joins, so that its first notes do not wait for the others' tokens.

A request that is written in parts stays between two of them: its rows rest, and the model does not read again what it
has read. They go when the request is closed or cancelled.

The words of a request are read, and its pieces made, by the thread that asks; it waits in `step` for the batch. Few are
prepared at once (`SharedBatch.turn`), one after the other, and the batch leaves them its processors meanwhile.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping

import torch

from amt.decoding.backends.engine import REASONS, Engine, engine_options, grammar_texts, memories_of
from amt.decoding.backends.engine import refusal as engine_refusal
from amt.decoding.deadline import FOREVER, Deadline
from amt.decoding.hypothesis import Hypothesis, NewToken
from amt.decoding.protocols import DecoderModel
from amt.errors import AmtError, DecodingError
from amt.ops.decode import Generation, PromptRows
from amt.request.request import Prompt, Request

CHUNK_MS = 20  # how long a newcomer waits for each kind of rows, at most, beside the pass that runs
CHUNK_STEPS = 64
FIRST_MS, FIRST_STEPS = 10, 24  # of newcomers: some tokens say metre, tempo and plan, then the first notes come
MAX_ROWS = 64
WAIT_S = 0.1
NAME = "shared"
# What the engine may raise; the thread of the batch outlives them.
FAILURES = (AmtError, ValueError, MemoryError, RuntimeError)


class Cancelled(Exception):
    """Nobody waits for this request any more."""


@dataclasses.dataclass(eq=False)
class _Row:
    """A sequence on its way.

    Attributes:
        prompt: whose it is.
        prefix: the tokens it begins with.
        sequence: which one of its prompt.
        seed: what it was seeded with.
        tokens: those that are new.
        is_done: whether it has ended.
        is_here: whether it is in the batch, or will be; one that has ended may begin anew as long as it is.
        result: what it came to, if it has run since the request began or went on.
    """

    prompt: int
    sequence: int
    prefix: tuple[int, ...]
    seed: int | None
    tokens: list[NewToken] = dataclasses.field(default_factory=list)
    is_done: bool = False
    is_here: bool = True
    result: Hypothesis | None = None


class SharedState:
    """A request in the batch, as the thread that asked for it sees it; see `amt.decoding.backends.State`."""

    def __init__(
        self,
        batch: SharedBatch,
        request: Request,
        deadline: Deadline,
        generation: Generation,
        rows: list[_Row],
        key: tuple[str, bool],
        is_cancelled: Callable[[], bool],
    ):
        self.request, self.deadline = request, deadline
        self.generation, self.rows, self.key = generation, rows, key
        self._is_cancelled = is_cancelled
        self._batch = batch
        self._is_closed = False
        self.goes_on: Mapping[int, Prompt] = {}  # what the batch is to begin anew
        self.error: Exception | None = None
        self.came = threading.Event()  # set by the batch when there is something to see
        self.follows = False  # whether every token is waited for, or only the end
        self._num_given = 0
        self._is_done = False

    @property
    def is_done(self) -> bool:
        return self._is_done  # as of the last step: no token comes between it and `new_tokens`

    @property
    def num_tokens(self) -> int:
        return sum(
            self.request.prompts[row.prompt].max_new_tokens if row.result is not None else len(row.tokens)
            for row in self.rows
        )

    def step(self, num_steps: int, max_ms: int) -> None:
        """Wait until the batch has come further: for some tokens, or where all steps are asked for, for the end."""
        self.follows = num_steps < FOREVER
        self.came.wait(1.0)
        self.came.clear()
        self._is_done = not self.goes_on and all(row.is_done for row in self.rows)
        if self.error is not None:
            raise self.error
        if self.is_cancelled():
            raise Cancelled

    def new_tokens(self) -> list[NewToken]:
        found = self.rows[0].tokens[self._num_given :]
        self._num_given += len(found)
        return found

    def read(self) -> list[list[Hypothesis]]:
        results: list[list[Hypothesis]] = [[] for _ in self.request.prompts]
        for row in self.rows:
            if row.result is not None:
                results[row.prompt].append(row.result)
        return results

    def go_on(self, prompts: Mapping[int, Prompt]) -> bool:
        if not all(row.is_here for row in self.rows):
            return False
        asked = list(self.request.prompts)
        for index, prompt in prompts.items():
            asked[index] = prompt
        self.request = dataclasses.replace(self.request, prompts=tuple(asked))
        for row in self.rows:
            row.tokens, row.result = [], None
        self._is_done, self._num_given = False, 0
        self._batch.go_on(self, prompts)
        return True

    @property
    def has_room(self) -> bool:
        """Whether it may go on when all is done."""
        return any(prompt.room > 0 for prompt in self.request.prompts)

    def close(self) -> None:
        self._is_closed = True
        self._batch.look()

    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._is_closed or self._is_cancelled()


_Rows = list[tuple["SharedState", _Row]]
_Running = dict[tuple[str, bool], tuple[Generation, _Rows]]  # by kind: mode, and whether with guidance


class Turn:
    """Leave to prepare a request; see `SharedBatch.turn`."""

    def __init__(self, leave: Callable[[], None]):
        self._leave: Callable[[], None] | None = leave

    def end(self) -> None:
        """It is prepared: the next one may be. Again: nothing."""
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()


class SharedBatch:
    """A batch that requests join while it runs.

    Args:
        engine: the packed decoder that runs it.
        max_rows: sequences that run at once.
        num_threads: of the engine; default: torch's.

    Attributes:
        changed: notified when somebody comes, and when it is closed.
        num_tokens: that were written.
    """

    def __init__(self, engine: Engine, *, max_rows: int = MAX_ROWS, num_threads: int | None = None):
        self.engine, self.max_rows = engine, max_rows
        self._num_threads = num_threads or engine.num_threads or torch.get_num_threads()
        self.changed = threading.Condition()
        self._waiting: deque[SharedState] = deque()
        self._running: _Running = {}
        self._is_closed = False
        self._num_preparing = 0
        self._tickets: deque[object] = deque()  # of those that wait for their turn
        self.num_tokens = 0
        self._thread = threading.Thread(target=self._run, name="amt-batch", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # Python ends threads in the midst of C++ else

    @property
    def num_rows(self) -> int:
        """Sequences that run or rest now."""
        return sum(len(rows) for _, rows in list(self._running.values()))

    @property
    def num_waiting(self) -> int:
        """Sequences that wait for room."""
        return sum(len(state.rows) for state in list(self._waiting))

    def refusal(self, request: Request) -> str | None:
        """Why a request cannot be in the batch; None: it can."""
        if request.options.num_beams > 1:
            return "beams are not decoded in a shared batch"
        num = len(request.prompts) * request.options.num_return_sequences
        if num > self.max_rows:
            return f"it has {num} sequences, and {self.max_rows} run at once"
        return engine_refusal(request)

    def start(
        self,
        model: DecoderModel,
        request: Request,
        deadline: Deadline,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> SharedState:
        """Let a request join the batch as soon as there is room.

        Args:
            is_cancelled: asked between chunks; once it says yes the rows leave, and `step` raises `Cancelled`.
        """
        engine, options = self.engine, request.options
        mode = "sample" if options.do_sample else "greedy"
        texts = [(each.states, each.attributes) for each in request.prompts]
        memories = memories_of(engine, texts if request.negative is None else [*texts, (request.negative, ())])
        negative = None if request.negative is None else len(memories) - 1
        grammars = list(dict.fromkeys(prompt.grammar for prompt in request.prompts))
        num = options.num_return_sequences if options.do_sample else 1
        parts = [(index, sequence) for index in range(len(request.prompts)) for sequence in range(num)]
        rows, prompts = [], []
        for index, sequence in parts:
            prompt = request.prompts[index]
            rows.append(_Row(index, sequence, prompt.prefix, prompt.seed))
            prompts.append(
                PromptRows(
                    index,
                    prompt.prefix,
                    prompt.max_new_tokens,
                    prompt.seed or 0,
                    prompt.first_sequence + sequence,
                    negative,
                    prompt.num_bars,
                    grammars.index(prompt.grammar),
                    () if prompt.before is None else prompt.before.history,
                    prompt.num_before,
                    prompt.tokens_left,
                    prompt.room,
                )
            )
        generation = Generation(
            engine.packed,
            {"mode": mode, "num_rows": 1, "eos_token_id": request.eos_token_id, **engine_options(options)},
            prompts,
            [memory for memory, _ in memories],
            [mask for _, mask in memories],
            grammars=grammar_texts(grammars),
            features=engine.features,
            isa=engine.isa,
            num_threads=self._num_threads,
        )
        key = mode, request.negative is not None
        state = SharedState(self, request, deadline, generation, rows, key, is_cancelled)
        with self.changed:
            if self._is_closed:
                raise Cancelled
            self._waiting.append(state)
            self.changed.notify_all()
        return state

    def go_on(self, state: SharedState, prompts: Mapping[int, Prompt]) -> None:
        """Let the rows of these prompts, which rest, begin anew."""
        with self.changed:
            if self._is_closed:
                raise Cancelled
            state.goes_on = prompts
            self.changed.notify_all()

    def look(self) -> None:
        """Look whether anybody has gone."""
        with self.changed:
            self.changed.notify_all()

    @contextlib.contextmanager
    def turn(self, check: Callable[[], None]) -> Iterator[Turn]:
        """Wait until a request may be prepared: no more at once than there are threads, so that the first is soon done.

        Args:
            check: called while it waits; what it raises ends the wait.
        """
        ticket = object()
        with self.changed:
            self._tickets.append(ticket)
            try:
                while self._num_preparing >= self._num_threads or self._tickets[0] is not ticket:
                    check()
                    self.changed.wait(WAIT_S)
                self._num_preparing += 1
            finally:
                self._tickets.remove(ticket)
                self.changed.notify_all()
        turn = Turn(self._end_turn)
        try:
            yield turn
        finally:
            turn.end()

    def _end_turn(self) -> None:
        with self.changed:
            self._num_preparing -= 1
            self.changed.notify_all()

    def close(self) -> None:
        """End the thread; what runs is cancelled."""
        with self.changed:
            self._is_closed = True
            self.changed.notify_all()
        self._thread.join()
        atexit.unregister(self.close)

    def _run(self) -> None:
        while True:
            with self.changed:
                while not (self._is_closed or self._has_work()):
                    self.changed.wait(WAIT_S if self._running or self._waiting else None)
                if self._is_closed:
                    for state in [*self._waiting, *(each for _, rows in self._running.values() for each, _ in rows)]:
                        _fail(state, Cancelled())
                    self._waiting.clear()
                    self._running.clear()
                    return
                newcomers = self._newcomers()
            self._begin(newcomers)
            for key in list(self._running):
                if not self._chunk(*self._running[key], CHUNK_STEPS, CHUNK_MS):
                    del self._running[key]

    def _has_work(self) -> bool:
        """Whether a row runs, or has to come, to begin anew or to go."""
        rows = [each for _, of_kind in self._running.values() for each in of_kind]
        return (
            any(not row.is_done or state.goes_on or state.is_cancelled() for state, row in rows)
            or any(state.is_cancelled() for state in self._waiting)
            or bool(self._waiting and len(self._waiting[0].rows) <= self.max_rows - len(rows))
        )

    @property
    def is_alive(self) -> bool:
        """Whether requests are worked on."""
        return self._thread.is_alive()

    def _newcomers(self) -> list[SharedState]:
        """Those that there is room for, in the order in which they came."""
        for state in [each for each in self._waiting if each.is_cancelled()]:
            self._waiting.remove(state)
            _fail(state, Cancelled())
        found: list[SharedState] = []
        room = self.max_rows - self.num_rows
        while self._waiting and len(self._waiting[0].rows) <= room:
            state = self._waiting.popleft()
            room -= len(state.rows)
            found.append(state)
        return found

    def _begin(self, newcomers: list[SharedState]) -> None:
        """Let requests write their first tokens, and then join those that run."""
        begun: _Running = {}
        for state in newcomers:
            self._join(begun, state.key, state.generation, [(state, row) for row in state.rows])
        for key, (generation, rows) in begun.items():
            if self._chunk(generation, rows, FIRST_STEPS, FIRST_MS):
                self._join(self._running, key, generation, rows)

    def _join(
        self,
        to: _Running,
        key: tuple[str, bool],
        generation: Generation,
        rows: _Rows,
    ) -> None:
        if key not in to:
            to[key] = generation, rows
            return
        joined, others = to[key]
        try:
            joined.join(generation)
        except FAILURES as error:
            for state, _ in rows:
                _fail(state, error)
        else:
            others += rows

    def _chunk(self, generation: Generation, rows: _Rows, num_steps: int, num_ms: int) -> bool:
        """Run one kind of rows for a while, hand out what came, and let go who is done; whether somebody is left."""
        try:
            self._run_chunk(generation, rows, num_steps, num_ms)
        except FAILURES as error:  # these rows are lost, and nobody else's
            for state, _ in rows:
                _fail(state, error)
            rows.clear()
        return bool(rows)

    def _run_chunk(self, generation: Generation, rows: _Rows, num_steps: int, num_ms: int) -> None:
        self._begin_anew(generation, rows)
        generation.num_threads = max(1, self._num_threads - self._num_preparing)
        failure: Exception | None = None
        try:
            generation.run(num_steps, num_ms)
        except DecodingError as error:  # of a generation that nobody has joined
            failure = error
        gone: list[int] = []
        for index, (state, row) in enumerate(rows):
            if state.is_cancelled():
                state.error = state.error or Cancelled()
            if row.is_done:  # it rests
                if state.error is not None:
                    gone.append(index)
                continue
            status = generation.status(index)
            new = generation.new_tokens(len(row.tokens), index)
            row.tokens += [NewToken(*token) for token in new]
            self.num_tokens += len(new)
            if failure is not None or status.failure:
                state.error = failure or DecodingError(status.failure)
            is_over = bool(row.tokens) and state.deadline.is_over()
            if status.is_done or is_over:
                row.result = Hypothesis(
                    (*row.prefix, *(token.token_id for token in row.tokens)),
                    sum(token.log_prob for token in row.tokens),
                    tuple(token.log_prob for token in row.tokens),
                    REASONS[status.finish_reason],
                    row.seed,
                )
                row.is_done = True
            if state.error is not None or (row.is_done and (is_over or not state.has_room)):
                gone.append(index)
        states = dict.fromkeys(state for state, _ in rows)
        for index in reversed(gone):
            rows.pop(index)[1].is_here = False
            if rows:  # the last one ends with the generation
                generation.leave(index)
        for state in states:
            is_done = all(row.is_done for row in state.rows)
            if state.follows or is_done or state.error is not None:
                state.came.set()

    def _begin_anew(self, generation: Generation, rows: _Rows) -> None:
        """Let what rests go on where it is to."""
        for state in dict.fromkeys(state for state, _ in rows):
            prompts = state.goes_on
            if not prompts:
                continue
            for index, (other, row) in enumerate(rows):
                if other is not state or row.prompt not in prompts:
                    continue
                prompt = prompts[row.prompt]
                try:
                    generation.restart(
                        index,
                        prompt.prefix,
                        prompt.max_new_tokens,
                        first_sequence=prompt.first_sequence + row.sequence,
                        history=() if prompt.before is None else prompt.before.history,
                        num_before=prompt.num_before,
                        tokens_left=prompt.tokens_left,
                    )
                except ValueError as error:
                    state.error = error
                else:
                    row.prefix, row.is_done = prompt.prefix, False
            state.goes_on = {}  # at last: who waits sees that it is not done


def _fail(state: SharedState, error: Exception) -> None:
    state.error = error
    state.came.set()
