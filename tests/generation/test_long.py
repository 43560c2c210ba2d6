"""Pieces longer than a model reads."""

import pytest

import amt
from amt.generation.long import Long, Reader
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note, Tempo
from amt.midi.grammar import Grammar
from amt.request.limits import Limits
from amt.request.reading import read
from amt.request.request import Prompt
from amt.request.target import target_of

MAX_LEN = 96
TEXT = "music"


@pytest.fixture(scope="module")
def generator(make_generator):
    return make_generator(MAX_LEN)


@pytest.fixture
def generate(generator):
    few = {"instruments": ["violin", "cello", "drums"], "max_polyphony": 3, "rerank": 1}
    return lambda text=TEXT, **options: amt.generate(text, **({"model": generator, "seed": 5, **few} | options))


def assert_whole(piece):
    """It is canonical, it ends, and every reader finds the same notes."""
    tokenizer = amt.EventTokenizer()
    assert piece.tokens[-1] == 2 and tuple(tokenizer.encode(piece.music).ids.tolist()) == piece.tokens
    assert amt.read_midi(piece.to_bytes()).notes == piece.notes
    assert len(piece.token_log_probs) == len(piece.tokens) - 1


@pytest.mark.parametrize("limits", [{"duration": 40, "tempo": 120}, {"bars": 30}, {"duration": 25}], ids=str)
def test_a_long_piece_ends_in_its_time_and_keeps_its_limits(generate, limits):
    for options in ({"seed": 1}, {"seed": 2, "temperature": 0.7}, {"do_sample": False}):
        piece = generate(**limits, max_note_beats=2, max_rest_beats=2, **options)
        assert len(piece.tokens) > 2 * MAX_LEN
        assert all(row.is_met for row in piece.report), piece.report
        assert_whole(piece)


def test_engine_and_plain_write_the_same_windows(generate):
    for options in ({"seed": 1}, {"do_sample": False}, {"num_beams": 2}, {"seed": 3, "guidance_scale": 2.0}):
        options |= {"duration": 60, "tempo": 300, "max_new_tokens": 230}
        ours, theirs = (generate(backend=backend, **options) for backend in ("engine", "plain"))
        assert ours.tokens == theirs.tokens and len(ours.tokens) > MAX_LEN
        assert_whole(ours)


def test_a_seed_gives_the_same_piece_in_any_batch(generate):
    options = {"duration": 24, "max_new_tokens": 400}
    alone = generate("a waltz", **options)
    texts = generate(["a jig", "a waltz", "a march", "a waltz"], **options)
    several = generate("a waltz", num_return_sequences=3, **options)
    assert alone.tokens == texts[1].tokens == texts[3].tokens == several[0].tokens
    assert len({piece.tokens for piece in several}) == 3 and len(alone.tokens) > MAX_LEN
    for piece in several:
        assert_whole(piece)


def test_a_stream_and_a_streamer_get_the_same(generator, generate):
    class Streamer:
        def __init__(self):
            self.tokens = []

        def put(self, value):
            self.tokens += value[0].tolist() if value.dim() == 2 else value.tolist()

        def end(self):
            self.tokens.append("end")

    options = {"duration": 40, "tempo": 240, "instruments": ["violin", "cello"], "max_polyphony": 3}
    whole = generate(**options)
    streamed = amt.stream(TEXT, model=generator, seed=5, **options)
    events = list(streamed)
    assert streamed.result().tokens == whole.tokens and len(events) == len(whole.tokens) > MAX_LEN
    assert streamed.result().to_bytes() == whole.to_bytes()
    streamer = Streamer()
    assert generate(streamer=streamer, **options).tokens == whole.tokens
    assert streamer.tokens == [*whole.tokens, "end"]


def test_no_random_number_is_drawn_twice(generate, monkeypatch):
    from amt.decoding.plain import strategies

    drawn, uniform = [], strategies.uniform
    monkeypatch.setattr(strategies, "uniform", lambda *which: (drawn.append(which), uniform(*which))[1])
    piece = generate(backend="plain", duration=12, max_new_tokens=220)
    assert drawn == [(5, position, 0) for position in range(1, len(piece.tokens))]


def test_time_that_is_over_closes_what_there_is(generate):
    piece = generate(duration=20_000, max_time=0.2)
    assert len(piece.tokens) > 1 and piece.duration_s < 19_000
    assert amt.read_midi(piece.to_bytes()).notes == piece.notes


def test_progress_counts_all_windows(generate):
    told = []
    piece = generate(duration=20, tempo=100, progress=lambda done, at_most: told.append((done, at_most)))
    assert told[-1][0] == told[-1][1] >= len(piece.token_log_probs)
    assert all(done <= at_most for done, at_most in told)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_required_instruments_enter_once_however_many_windows_there_are(generate):
    piece = generate(duration=60, tempo=160, required_instruments=["cello", "drums"], entry_by_beats=100)
    (row,) = [row for row in piece.report if row.name == "required_instruments"]
    assert row.is_met and len(piece.tokens) > 2 * MAX_LEN


def user_music(num_beats):
    """At an odd tempo in 96 ticks, with a kit, and a rest that tokens do not hold."""
    notes = [Note(96 * beat, 96 * beat + 50, 60 + beat % 12, 70, 40) for beat in range(num_beats)]
    notes += [Note(96 * beat, 96 * beat + 10, 36, 90, 24, True) for beat in range(num_beats)]
    notes += [Note(96 * (num_beats + 80), 96 * (num_beats + 81), 72, 80, 40)]
    return MidiData(notes, tempos=[Tempo(0, 612_345)], key_signatures=[KeySignature(0, 2, False)], ticks_per_beat=96)


@pytest.mark.parametrize("num_beats", [4, 60])
def test_music_of_any_length_is_continued_and_stays_what_it_is(generator, generate, num_beats):
    start = user_music(num_beats)
    piece = generate("a jig", prompt_midi=start, duration=start.duration_s + 10, instruments=["violin", "drums"])
    own = [column[: len(start.notes)].tolist() for column in piece.notes.columns]
    assert own == [column.tolist() for column in start.notes.columns]
    assert piece.music.key_signatures == start.key_signatures and piece.music.tempos[0] == start.tempos[0]
    assert piece.music.ticks_per_beat == 96 and not piece.warnings
    new = piece.notes[len(start.notes) :]
    assert len(new) and set(new.program[new.is_drum].tolist()) <= {24}
    assert abs(piece.duration_s - start.duration_s - 10) < 0.05 * piece.duration_s
    again = amt.stream(
        "a jig", model=generator, seed=5, prompt_midi=start, max_polyphony=3,
        duration=start.duration_s + 10, instruments=["violin", "drums"],
    )  # fmt: skip
    list(again)
    assert again.result().to_bytes() == piece.to_bytes()


def test_what_is_shorter_than_its_beginning_is_one_clear_line(generate):
    for limits in ({"duration": 9}, {"bars": 2}, {"max_beats": 9}):
        with pytest.raises(
            ValueError, match=r"long already, and the whole shall be at most .*; ask for more"
        ) as caught:
            generate(prompt_midi=user_music(8), instruments=None, **limits)
        assert "\n" not in str(caught.value)


def test_a_length_that_nobody_names_is_drawn(generate):
    pieces = [generate("a reel", seed=seed, tempo=120) for seed in range(4)]
    seconds = [target_of(Limits(), read("a reel"), part).seconds for part in (0.0, 0.5, 1.0)]
    assert seconds == pytest.approx([20, 22, 43])
    assert len({round(piece.duration_s) for piece in pieces}) > 1
    assert all(20 <= piece.duration_s <= 1.25 * 43 for piece in pieces)
    assert {row.name for row in pieces[0].report} >= {"tempo"} and "duration" not in {r.name for r in pieces[0].report}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [("two minutes of piano", 120, 120), ("a tune, 20-30 seconds", 20, 30), ("a tune under 30 seconds", 22.5, 30),
     ("a piece of at least 1 minute", 60, 75)],
)  # fmt: skip
def test_a_text_says_how_long(text, low, high):
    lengths = [target_of(Limits(), read(text), part).seconds for part in (0.0, 1.0)]
    assert lengths == [low, high]
    assert target_of(Limits(duration=7), read(text), 0.5).seconds == 7


def test_short_and_long_pieces_and_bars_in_words():
    short, long = (target_of(Limits(), read(f"a {size} waltz"), 0.5).seconds for size in ("short", "long"))
    assert 20 <= short < 60 < 150 < long <= 300
    assert target_of(Limits(), read("16 bars of blues"), 0.5).bars == 16
    assert target_of(Limits(max_beats=8), read("a waltz"), 0.5).most_tokens is None


def test_a_model_that_is_told_hears_how_many_bars_are_left():
    config = amt.TokenizerConfig()
    told = []
    reader = Reader(config, 64, lambda prompt, num_bars: (told.append(num_bars), (num_bars,))[1])
    grammar = Grammar(config, amt.Constraints(min_us=38_000_000, max_us=42_000_000))
    piece = Long(Prompt(None, (1,), 5000, grammar=grammar), reader)
    assert piece.next_prompt().max_new_tokens == 2  # the header, which says how long a bar is
    token_id = amt.EventTokenizer().vocabulary.token_id
    piece.take(found([1, token_id("time_signature", 17), token_id("tempo", config.tempos_bpm.index(120))], 2))
    assert piece.next_prompt().num_bars == 20 and told == [20]
    bar = [token_id("velocity", 3), token_id("note_on", 60), token_id("time_shift", 96), token_id("note_off", 60)]
    other = [token_id("velocity", 4), *bar[1:]]
    piece.take(found([token_id("program", 0), *(bar + other) * 6], 49))
    window = piece.next_prompt()
    assert len(window.prefix) <= 32 and window.before.num_tokens == 51 and window.before.tokens_left == 4949
    assert window.num_bars == 20 - (12 - (len(window.prefix) - 4) // 4) == 15 and window.attributes == (
        window.num_bars,
    )


def found(token_ids, num_new):
    from amt.decoding.hypothesis import Hypothesis

    return Hypothesis(tuple(token_ids), 0.0, (0.0,) * num_new, "length")
