"""What a model reads of a piece that is longer than it reads."""

import random

import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note, PedalSpan, Tempo, TimeSignature
from amt.midi.reference.grammar import GrammarState
from amt.midi.tokenizer import EventTokenizer
from amt.midi.vocabulary import vocabulary_of
from amt.midi.window import Written

CONFIGS = {
    "score": TokenizerConfig(max_time_shift=30, steps_per_beat=4, num_velocities=4, tempos_bpm=(60, 120)),
    "score 2": TokenizerConfig(version=2, max_time_shift=30, steps_per_beat=4, num_velocities=4, tempos_bpm=(60, 120)),
    "performance": TokenizerConfig("performance", max_time_shift=60, num_velocities=4),
}


def long_piece(rng):
    """Forty beats of four parts, with pedals and changes."""

    def span(longest):
        start = 120 * rng.randrange(160)
        return start, start + 120 * rng.randrange(1, longest)

    velocities, programs = [20, 60, 120], [0, 3, 9]
    notes = [Note(*span(20), 48 + rng.randrange(24), rng.choice(velocities), rng.choice(programs)) for _ in range(90)]
    notes += [Note(*span(2), 36 + rng.randrange(4), 90, 0, True) for _ in range(30)]
    pedals = [PedalSpan(*span(16), rng.choice([0, 3])) for _ in range(10)]
    tempos = [Tempo(120 * rng.randrange(160), rng.choice([500_000, 1_000_000])) for _ in range(4)]
    metres = [TimeSignature(120 * rng.randrange(160), rng.choice([3, 4]), rng.choice([4, 8])) for _ in range(3)]
    return MidiData(notes, pedals, tempos, metres)


def state_after(config, ids):
    state = GrammarState(config)
    for token_id in ids:
        state.advance(token_id)
    return state


def ids_of(config, text):
    """Tokens by name, like "program:3"."""
    words = [word.split(":") for word in text.split()]
    return [vocabulary_of(config).token_id(kind, int(value)) for kind, value in words]


@pytest.mark.parametrize("name", CONFIGS)
def test_a_window_is_a_beginning_of_its_own_with_the_same_place_at_its_end(name):
    """It is canonical; the same notes and pedals sound; the same program and velocity are in force where they count."""
    config, num_cut = CONFIGS[name], 0
    for seed in range(40):
        rng = random.Random(seed)
        ids = EventTokenizer(config).encode(long_piece(rng)).ids.tolist()[:-1]
        ids = ids[: rng.randrange(len(ids) // 2, len(ids) + 1)]
        written = Written(config, ids)
        window = written.last_bars(rng.choice([60, 100, 150]))
        if len(window.ids) <= 4 or len(window.ids) == len(ids):
            continue
        num_cut += 1
        whole, part = state_after(config, ids), state_after(config, window.ids)
        assert len(window.ids) < len(ids)
        assert sorted(part.sounding) == sorted(whole.sounding) and part.pedals == whole.pedals
        assert (part.program, part.tempo, part.time_signature) == (whole.program, whole.tempo, whole.time_signature)
        assert part.last == whole.last or whole.last.kind == "program"
        if config.preset == "score":
            assert part.metre_start % whole.bar_steps == 0 or part.metre_start > 0
            assert window.first_bar + part._bars_begun(part.now) == whole._bars_begun(whole.now)
    assert num_cut > 30


def test_a_window_of_bars_by_hand():
    config = TokenizerConfig(steps_per_beat=4, num_velocities=4, tempos_bpm=(60, 120), max_time_shift=16)
    ids = ids_of(
        config,
        "bos:0 time_signature:17 tempo:1 program:3 pedal_on:0 velocity:1 note_on:50 program:9 velocity:2 note_on:60"
        " time_shift:12 note_off:60 velocity:3 note_on:64 time_shift:6 program:3 note_on:55 time_shift:2 note_off:55",
    )
    written = Written(config, ids)
    assert (written.num_bars, written.step, float(written.elapsed_us)) == (2, 20, 2_500_000)
    window = written.last_bars(len(ids) - 1)
    assert window.first_bar == 1
    # The time signature is 4/4: a bar has 16 steps. What sounds at the bar line begins there.
    assert list(window.ids) == ids_of(
        config,
        "bos:0 time_signature:17 tempo:1 program:3 pedal_on:0 velocity:1 note_on:50 program:9 velocity:3 note_on:64"
        " time_shift:2 program:3 note_on:55 time_shift:2 note_off:55",
    )
    assert written.last_bars(len(ids)).ids == tuple(ids)


def test_what_changes_at_the_bar_line_is_in_the_header_and_what_ends_there_is_gone():
    config = TokenizerConfig(steps_per_beat=4, num_velocities=4, tempos_bpm=(60, 120), max_time_shift=16)
    ids = ids_of(
        config,
        "bos:0 time_signature:17 tempo:1 program:3 velocity:1 note_on:50 note_on:52 time_shift:16 time_signature:12"
        " tempo:0 note_off:50 note_on:70 time_shift:4 note_on:71 note_on:72 time_shift:16 time_shift:3",
    )
    window = Written(config, ids).last_bars(len(ids) - 1)
    assert list(window.ids) == ids_of(
        config,
        "bos:0 time_signature:12 tempo:0 program:3 velocity:1 note_on:52 note_on:70"
        " time_shift:4 note_on:71 note_on:72 time_shift:16 time_shift:3",
    )


def come_again(music, start, source, length):
    """What `Written.come_again` says in tokens, in notes; all in ticks."""
    way = start - source

    def again(first, last):
        return first + way, min(last, source + length) + way

    notes, pedals = [], []
    for note in music.notes:
        span = int(note.start_ticks), int(note.end_ticks)
        rest = int(note.pitch), int(note.velocity), int(note.program), bool(note.is_drum)
        if span[0] < start:
            notes.append(Note(span[0], span[1] if rest[3] else min(span[1], start), *rest))
        if source <= span[0] < source + length:
            notes.append(Note(*again(*span), *rest))
    for pedal in music.pedals:
        if pedal.start_ticks < start:
            pedals.append(PedalSpan(pedal.start_ticks, min(pedal.end_ticks, start), pedal.program))
        if source <= pedal.start_ticks < source + length:
            pedals.append(PedalSpan(*again(pedal.start_ticks, pedal.end_ticks), pedal.program))
    tempos = [tempo for tempo in music.tempos if tempo.tick < start]
    return MidiData(notes, pedals, tempos, music.time_signatures, ticks_per_beat=music.ticks_per_beat)


@pytest.mark.parametrize("name", ["score", "score 2"])
def test_earlier_music_comes_again_in_canonical_tokens(name):
    """They are those of the notes, laid out by hand: the tokenizer is the reference."""
    config = CONFIGS[name]
    tokenizer, num_new = EventTokenizer(config), 0
    bar = 4 * config.steps_per_beat
    for seed in range(60):
        rng = random.Random(seed)
        piece = long_piece(rng)
        ids = tokenizer.encode(piece.replace(time_signatures=[TimeSignature(0, 4, 4)])).ids.tolist()[:-1]
        written = Written(config, ids)
        start = bar * rng.randrange(3, 8)
        source = bar * rng.randrange(0, start // bar - 1)
        length = bar * rng.randrange(1, (start - source) // bar + 1)
        kept, new = written.come_again(start, source, length)
        music = tokenizer.decode(ids)
        step = music.ticks_per_beat // config.steps_per_beat
        expected = come_again(music, start * step, source * step, length * step)
        assert ids[:kept] + new == tokenizer.encode(expected).ids.tolist()[:-1], seed
        assert written.ids == ids
        num_new += len(new)
    assert num_new > 2000


def test_nothing_comes_again_behind_a_change_of_metre_or_without_bars():
    config = CONFIGS["score"]
    ids = ids_of(config, "bos:0 time_signature:17 tempo:1 program:3 velocity:1 note_on:50 time_shift:16 note_off:50")
    assert Written(config, ids).come_again(16, 0, 8) is not None
    change = ids_of(config, "time_signature:12 note_on:50 time_shift:16 note_off:50")
    assert Written(config, [*ids[:-1], *change[:1], ids[-1], *change[1:]]).come_again(28, 0, 8) is None
    performance = CONFIGS["performance"]
    ids = ids_of(performance, "bos:0 velocity:1 note_on:50 time_shift:16 note_off:50")
    assert Written(performance, ids).come_again(16, 0, 8) is None


def test_real_pieces_in_windows(corpus_files):
    tokenizer = EventTokenizer()
    for _, data in corpus_files[::25]:
        ids = tokenizer.encode(data).ids.tolist()[:-1][:6000]
        written = Written(tokenizer.config)
        for first in range(0, len(ids), 500):
            written.extend(ids[first : first + 500])
            window = written.last_bars(512)
            state_after(tokenizer.config, window.ids)
            assert len(window.ids) <= 512
        assert written.ids == ids


def test_a_window_has_the_rest_of_the_plan_unless_the_metre_has_changed():
    config = TokenizerConfig(version=2, steps_per_beat=4, num_velocities=4, tempos_bpm=(60, 120), max_time_shift=16)
    head = "bos:0 time_signature:17 tempo:1"
    plan = " section:1 bars:4 chord:1 bars:2 chord:10 section:3 chord:0"  # two bars, one, and one of another section
    notes = (
        " program:3 velocity:1 note_on:50 time_shift:16 time_shift:16 note_off:50 note_on:51 time_shift:8 note_off:51"
    )
    window = Written(config, ids_of(config, head + plan + notes)).last_bars(17)
    rest = " section:1 bars:2 chord:10 section:3 chord:0 program:3 velocity:1 note_on:51 time_shift:8 note_off:51"
    assert list(window.ids) == ids_of(config, head + rest) and window.first_bar == 2
    changed = notes.replace("note_off:50", "time_signature:12 note_off:50")
    window = Written(config, ids_of(config, head + plan + changed)).last_bars(17)
    assert vocabulary_of(config).token_id("section", 1) not in window.ids and window.first_bar == 2
