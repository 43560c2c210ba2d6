"""The batch that requests of many threads share: what each gets is what it gets alone."""

import concurrent.futures
import contextlib
import threading
import time

import pytest

import amt
from amt.decoding.backends import Backend
from amt.decoding.backends.engine import packed_engine
from amt.decoding.backends.shared import Cancelled, SharedBatch, SharedState
from amt.ops import native
from amt.ops.decode import Generation

pytestmark = pytest.mark.skipif(not native.is_available(), reason="needs the compiled engine")

TEXTS = ("a slow waltz for piano", "a rock song with guitar, bass and drums", "a jig for fiddle", "a samba, no drums")
CALLS = [
    (text, {"seed": 10 + index, "bars": 4 + index, "max_new_tokens": 150 + 40 * index, "rerank": 1 + index % 2})
    for index, text in enumerate(TEXTS)
]


@pytest.fixture(scope="module")
def opened():
    return amt.load("score-plan")


@pytest.fixture
def batch(opened):
    batch = SharedBatch(packed_engine(opened.checkpoint.model), max_rows=8, num_threads=1)
    yield batch
    batch.close()


@pytest.fixture
def joins(monkeypatch):
    """How many generations have joined another one."""
    made = []
    join = Generation.join
    monkeypatch.setattr(Generation, "join", lambda self, other: (made.append(1), join(self, other))[1])
    return made


def backend_of(batch, **more):
    def start(model, request, deadline):
        return batch.start(model, request, deadline, **more)

    return Backend("shared", batch.refusal, start)


def wait_until(is_so):
    for _ in range(3000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def test_everybody_gets_what_they_get_alone(opened, batch, joins):
    expected = [amt.generate(text, **options) for text, options in CALLS]
    backend = backend_of(batch)
    calls = [*CALLS, *CALLS[::-1], *CALLS]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda call: amt.generate(call[0], backend=backend, **call[1]), calls))
    for (text, _), piece in zip(calls, found, strict=True):
        same = expected[TEXTS.index(text)]
        assert piece.tokens == same.tokens and piece.token_log_probs == same.token_log_probs, text
        assert piece.backend == "shared" and piece.to_bytes() == same.to_bytes()
    wait_until(lambda: batch.num_rows == batch.num_waiting == 0)
    assert joins


@pytest.fixture
def restarts(monkeypatch):
    """How many tokens the prefixes have that begin anew."""
    made = []
    restart = Generation.restart
    monkeypatch.setattr(
        Generation,
        "restart",
        lambda self, index, prefix, *given, **named: (
            made.append(len(prefix)), restart(self, index, prefix, *given, **named)
        )[1],
    )  # fmt: skip
    return made


def test_what_is_written_in_parts_rests_between_them(opened, batch, restarts):
    text, options = "a rock song with guitar, bass and drums", {"seed": 4, "bars": 12, "rerank": 3}
    expected = amt.generate(text, **options)
    num_alone = len(restarts)
    found = amt.generate(text, backend=backend_of(batch), **options)
    assert found.tokens == expected.tokens and found.token_log_probs == expected.token_log_probs
    assert num_alone >= 1 and len(restarts) == num_alone + 3 * num_alone  # alone the candidates are rows of one prompt
    wait_until(lambda: batch.num_rows == 0)  # nothing rests any more


def test_what_rests_leaves_when_nobody_waits_and_makes_room(opened, batch, monkeypatch):
    """The thread that asks is stopped between two segments, with all rows of the batch at rest."""
    cancelled, rests, goes_on = threading.Event(), threading.Event(), threading.Event()
    go_on = SharedState.go_on

    def wait(self, prompts):
        if self.is_cancelled_by is not None:
            rests.set()
            assert goes_on.wait(60)
        return go_on(self, prompts)

    monkeypatch.setattr(SharedState, "is_cancelled_by", None, raising=False)
    monkeypatch.setattr(SharedState, "go_on", wait)
    start = batch.start

    def start_to_stop(*given, **named):
        state = start(*given, **named)
        state.is_cancelled_by = cancelled
        return state

    options = {"seed": 4, "bars": 12, "rerank": 8}
    stopped = Backend("shared", batch.refusal, lambda *given: start_to_stop(*given, is_cancelled=cancelled.is_set))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(amt.generate, TEXTS[1], backend=stopped, **options)
        assert rests.wait(60) and batch.num_rows == 8
        second = pool.submit(amt.generate, CALLS[0][0], backend=backend_of(batch), **CALLS[0][1])
        wait_until(lambda: batch.num_waiting == 1)
        cancelled.set()
        assert second.result(60).tokens == amt.generate(CALLS[0][0], **CALLS[0][1]).tokens
        goes_on.set()
        with pytest.raises(Cancelled):
            first.result(60)
    wait_until(lambda: batch.num_rows == 0)


def test_threads_that_are_needed_elsewhere_change_nothing(opened, monkeypatch):
    """While requests are prepared the batch runs on fewer threads, at least one."""
    text, options = CALLS[1]
    expected = amt.generate(text, **options).tokens
    counts = []
    run = Generation.run
    monkeypatch.setattr(
        Generation,
        "run",
        lambda self, *given, **named: (counts.append(self.num_threads), run(self, *given, **named))[1],
    )
    batch = SharedBatch(packed_engine(opened.checkpoint.model), max_rows=8, num_threads=3)
    try:
        with contextlib.ExitStack() as stack:
            for num_threads in (3, 2, 1, 1):
                counts.clear()
                assert amt.generate(text, backend=backend_of(batch), **options).tokens == expected
                assert set(counts) == {num_threads}
                if num_threads > 1 or batch._num_preparing < 3:
                    stack.enter_context(batch.turn(lambda: None))
    finally:
        batch.close()


def test_turns_go_by_the_order_of_coming_and_there_are_few(opened):
    batch = SharedBatch(packed_engine(opened.checkpoint.model), num_threads=2)
    got, gone = [], threading.Event()

    def check():
        if gone.is_set():
            raise Cancelled

    def wait(name):
        with batch.turn(check):
            got.append(name)

    try:
        with contextlib.ExitStack() as stack:
            first, second = (stack.enter_context(batch.turn(check)) for _ in range(2))
            threads = []
            for name in range(3):
                threads.append(threading.Thread(target=wait, args=(name,)))
                threads[-1].start()
                wait_until(lambda count=name + 1: len(batch._tickets) == count)
            assert not got
            first.end()
            first.end()  # again: nothing
            for thread in threads:
                thread.join(30)
            assert got == [0, 1, 2] and batch._num_preparing == 1
            with batch.turn(check):
                gone.set()
                with pytest.raises(Cancelled), batch.turn(check):
                    raise AssertionError("there is no turn")
            second.end()
        assert batch._num_preparing == 0 and not batch._tickets
    finally:
        batch.close()


def test_guesses_of_several_fit_beside_each_other(opened, batch, joins):
    calls = [(text, options | {"prompt_lookup_num_tokens": 64}) for text, options in CALLS]
    expected = [amt.generate(text, **options).tokens for text, options in calls]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda call: amt.generate(call[0], backend=backend_of(batch), **call[1]).tokens, calls))
    assert found == expected and joins


def test_a_failure_of_the_engine_is_nobody_elses(opened, batch, monkeypatch):
    run = Generation.run
    failures = [MemoryError("no room"), ValueError("no sense")]

    def run_or_fail(self, *arguments):
        if failures:
            raise failures.pop()
        return run(self, *arguments)

    expected = amt.generate(CALLS[0][0], **CALLS[0][1]).tokens
    monkeypatch.setattr(Generation, "run", run_or_fail)
    for kind in (ValueError, MemoryError):
        with pytest.raises(kind):
            amt.generate("a march", backend=backend_of(batch))
    assert amt.generate(CALLS[0][0], backend=backend_of(batch), **CALLS[0][1]).tokens == expected and batch.is_alive


def test_those_who_gave_up_leave_the_queue(opened, batch):
    stream = amt.stream("a march", seed=1, backend=backend_of(batch), max_new_tokens=900, min_new_tokens=900)
    next(stream)
    gone = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        head = pool.submit(amt.generate, "a waltz", rerank=8, backend=backend_of(batch), max_new_tokens=20)
        late = [
            pool.submit(amt.generate, "a jig", rerank=8, backend=backend_of(batch, is_cancelled=gone.is_set))
            for _ in range(3)
        ]
        while batch.num_waiting < 8 * 4:
            next(stream)
        gone.set()
        for each in late:
            with pytest.raises(Cancelled):
                each.result()
        assert batch.num_waiting <= 8
        stream.cancel()
        for _ in stream:
            pass
        batch_of_head = head.result(timeout=60)
    assert len(batch_of_head.token_log_probs) <= 20


def test_options_guidance_streams_and_long_pieces_may_differ(opened, batch):
    calls = [
        {"seed": 1, "temperature": 0.7, "max_new_tokens": 120},
        {"seed": 2, "do_sample": False, "max_new_tokens": 90},
        {"seed": 3, "guidance_scale": 2.0, "top_p": 0.8, "max_new_tokens": 120},
        {"seed": 4, "guidance_scale": 1.5, "suppress_tokens": (300,), "max_new_tokens": 80},
        {"seed": 5, "duration": 100, "max_new_tokens": 1300},
    ]
    expected = [amt.generate("a calm piano piece", rerank=1, **options).tokens for options in calls]
    backend = backend_of(batch)

    def streamed(options):
        stream = amt.stream("a calm piano piece", backend=backend, **options)
        num_events = sum(1 for _ in stream)
        assert num_events == len(stream.result().tokens)
        return stream.result().tokens

    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        assert list(pool.map(streamed, calls)) == expected


def test_an_edit_is_the_same_in_the_batch(opened, batch):
    song = amt.arrange("bossa nova", seed=3, bars=12).music
    options = {"bars": (5, 6), "seed": 9}
    expected = amt.edit(song, "a calmer melody", **options)
    found = amt.edit(song, "a calmer melody", backend=backend_of(batch), **options)
    assert found.tokens == expected.tokens and found.to_bytes() == expected.to_bytes()


def test_what_is_cancelled_leaves_and_the_others_stay(opened, batch):
    cancelled = threading.Event()
    backend = backend_of(batch, is_cancelled=cancelled.is_set)
    stream = amt.stream("a march", seed=1, backend=backend, max_new_tokens=900, min_new_tokens=900)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        other = pool.submit(amt.generate, *CALLS[1][:1], backend=backend_of(batch), **CALLS[1][1])
        assert next(stream) is not None
        cancelled.set()
        with pytest.raises(Cancelled):
            for _ in stream:
                pass
        assert other.result().tokens == amt.generate(CALLS[1][0], **CALLS[1][1]).tokens
    assert batch.num_rows == 0


def test_a_row_without_a_legal_token_fails_alone(opened, batch):
    """All tokens are suppressed: nothing is left to choose."""
    size = opened.checkpoint.model.config.vocab_size
    options = {"seed": 1, "suppress_tokens": tuple(range(size)), "max_new_tokens": 50}
    backend = backend_of(batch)
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        good = pool.submit(amt.generate, CALLS[2][0], backend=backend, **CALLS[2][1])
        bad = [pool.submit(amt.generate, "a march", backend=backend, **options) for _ in range(2)]
        for each in bad:
            with pytest.raises(amt.DecodingError):
                each.result()
        assert good.result().tokens == amt.generate(CALLS[2][0], **CALLS[2][1]).tokens


def test_what_it_cannot_take_is_said(batch):
    with pytest.raises(ValueError, match="'shared' cannot decode this: beams are not decoded in a shared batch"):
        amt.generate("a march", num_beams=2, backend=backend_of(batch))
    with pytest.raises(ValueError, match="it has 9 sequences, and 8 run at once"):
        amt.generate("a march", rerank=9, backend=backend_of(batch))


def test_time_ends_a_row_and_not_the_others(batch):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        other = pool.submit(amt.generate, CALLS[3][0], backend=backend_of(batch), **CALLS[3][1])
        piece = amt.generate("a march", seed=1, rerank=1, max_time=0.05, duration=200, backend=backend_of(batch))
        assert other.result().tokens == amt.generate(CALLS[3][0], **CALLS[3][1]).tokens
    assert len(piece.token_log_probs) >= 1 and amt.read_midi(piece.to_bytes()).duration_s < 190


def test_a_closed_batch_cancels(opened):
    batch = SharedBatch(packed_engine(opened.checkpoint.model), num_threads=1)
    stream = amt.stream("a march", seed=1, backend=backend_of(batch), min_new_tokens=900)
    next(stream)
    batch.close()
    with pytest.raises(Cancelled):
        list(stream)
    with pytest.raises(Cancelled):
        amt.generate("a march", backend=backend_of(batch))
