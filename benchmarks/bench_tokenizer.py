"""MIDI bytes to token ids and back, beside what else a user could take.

    pytest benchmarks/bench_tokenizer.py --benchmark-only --benchmark-json=tokenizer.json
    python benchmarks/report.py tokenizer.json

CPU time of the process, so that other work on the machine disturbs less; the batch rows are wall time. Files are in
memory. MB/s counts the MIDI bytes read or written, notes/s the notes in them. Some rows, and more rounds, come with
`--all`.
"""

import io
import time

import pytest
from comparisons import Measured, in_turns

from amt.midi.native import native
from amt.midi.tokenizer import EventTokenizer

PARSE = "parse + tokenize, one thread"
WRITE = "tokens -> MIDI bytes"
BATCH = "batch"
SYMUSIC_IN_TURNS = "AMT and symusic in turns (the time is of both)"
THREADS_IN_TURNS = "two threads and one in turns (the time is of both, wall time)"
ROUNDS = 3, 15  # without and with --all

TABLE = "MIDI files, CPU time of one thread"
PARSING = "parse (AMT: and tokenize)"
PARSING_ONLY = "parse alone"
WRITING = "write (AMT: from tokens)"


def cpu_time(group):
    """A benchmark's group and clock. They are one mark, because only the closest one counts."""
    return pytest.mark.benchmark(group=group, timer=time.process_time)


needs_native = pytest.mark.skipif(native is None, reason="amt._midi is not built")


@pytest.fixture(scope="module")
def files(midi_files):
    return midi_files[1]


@pytest.fixture(scope="module")
def num_notes(files):
    tokenizer = EventTokenizer()
    return sum(tokenizer.encode(file).report.num_notes for file in files)


@pytest.fixture(scope="module")
def ids(files):
    """Token ids (score) of all files."""
    tokenizer = EventTokenizer()
    return [tokenizer.encode(file).ids for file in files]


@pytest.fixture(scope="module")
def written(ids):
    """The files of those ids."""
    tokenizer = EventTokenizer()
    return [tokenizer.to_midi_bytes(row) for row in ids]


@pytest.fixture
def measure(benchmark, compare, midi_files, rounds):
    """Runs a function over all items, `num_rounds` times, and notes how fast that was; returns what it returned.

    `peer` is who it is in the table, None for AMT; `case` the line of the table.
    """

    def run(function, items, *, num_bytes, num_notes, case, peer=None, num_rounds=None):
        num_rounds = num_rounds or rounds(*ROUNDS)
        results = benchmark.pedantic(
            lambda: [function(item) for item in items], rounds=num_rounds, warmup_rounds=1 if num_rounds > 1 else 0
        )
        seconds = benchmark.stats.stats.median
        benchmark.extra_info.update(files=midi_files[0], items=len(items), notes=num_notes)
        benchmark.extra_info.update(mb_s=num_bytes / seconds / 1e6, notes_s=num_notes / seconds)
        text = f"{num_notes / seconds / 1e6:.3g} M notes/s"
        compare(TABLE, case, Measured(peer or "amt", peer is None, seconds / num_notes, text))
        return results

    return run


def size(files):
    return sum(map(len, files))


def every_tenth(files):
    """What slow libraries get."""
    return files[::10]


@cpu_time(PARSE)
@pytest.mark.parametrize("preset", ["score", pytest.param("performance", marks=pytest.mark.long)])
@needs_native
def test_amt_parses_and_tokenizes(measure, files, num_notes, preset):
    encodings = measure(EventTokenizer(preset).encode, files, num_bytes=size(files), num_notes=num_notes, case=PARSING)
    assert sum(encoding.report.num_notes for encoding in encodings) == num_notes


@cpu_time(PARSE)
@needs_native
def test_amt_parses_only(measure, files, num_notes):
    data = measure(native.read, files, num_bytes=size(files), num_notes=num_notes, case=PARSING_ONLY)
    assert sum(item.num_notes for item in data) == num_notes


@cpu_time(PARSE)
def test_symusic_parses_only(measure, needs, files, num_notes):
    needs("symusic", TABLE, PARSING_ONLY)
    from symusic import Score

    scores = measure(
        Score.from_midi, files, num_bytes=size(files), num_notes=num_notes, case=PARSING_ONLY, peer="symusic"
    )
    # It drops notes whose end is missing; there are few.
    assert 0.99 * num_notes <= sum(score.note_num() for score in scores) <= num_notes


@cpu_time(PARSE)
def test_miditok_parses_and_tokenizes(measure, needs, files):
    needs("miditok", TABLE, PARSING)
    needs("symusic", TABLE, PARSING)
    import miditok
    from symusic import Score

    tokenizer = miditok.MIDILike(miditok.TokenizerConfig(use_programs=True, one_token_stream_for_programs=True))
    part = every_tenth(files)
    num_notes = sum(Score.from_midi(file).note_num() for file in part)
    sequences = measure(
        lambda file: tokenizer.encode(Score.from_midi(file)),
        part,
        num_bytes=size(part),
        num_notes=num_notes,
        case=PARSING,
        peer="miditok",
        num_rounds=3,
    )
    assert all(len(sequence.ids) > 0 for sequence in sequences)


@cpu_time(PARSE)
def test_mido_parses_only(measure, needs, files):
    needs("mido", TABLE, PARSING_ONLY)
    import mido

    part = every_tenth(files)
    num_notes = sum(EventTokenizer().encode(file).report.num_notes for file in part)
    parsed = measure(
        lambda file: mido.MidiFile(file=io.BytesIO(file), clip=True),
        part,
        num_bytes=size(part),
        num_notes=num_notes,
        case=PARSING_ONLY,
        peer="mido",
        num_rounds=1,
    )
    starts = sum(
        message.type == "note_on" and message.velocity > 0
        for midi in parsed
        for track in midi.tracks
        for message in track
    )
    assert starts == num_notes


@cpu_time(PARSE)
@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature:RuntimeWarning")
def test_pretty_midi_parses_only(measure, needs, files):
    needs("pretty_midi", TABLE, PARSING_ONLY)
    import pretty_midi

    part = every_tenth(files)
    num_notes = sum(EventTokenizer().encode(file).report.num_notes for file in part)
    parsed = measure(
        lambda file: pretty_midi.PrettyMIDI(io.BytesIO(file)),
        part,
        num_bytes=size(part),
        num_notes=num_notes,
        case=PARSING_ONLY,
        peer="pretty_midi",
        num_rounds=1,
    )
    # One note-off ends all notes of its pitch there, and notes without length are left out.
    assert 0 < sum(len(instrument.notes) for midi in parsed for instrument in midi.instruments) <= 1.01 * num_notes


@cpu_time(WRITE)
@needs_native
def test_amt_writes_tokens(measure, ids, written):
    num_notes = sum(EventTokenizer().encode(file).report.num_notes for file in written)
    results = measure(EventTokenizer().to_midi_bytes, ids, num_bytes=size(written), num_notes=num_notes, case=WRITING)
    assert results == written


@cpu_time(WRITE)
def test_symusic_writes_scores(measure, needs, written):
    needs("symusic", TABLE, WRITING)
    from symusic import Score

    scores = [Score.from_midi(file) for file in written]
    num_notes = sum(score.note_num() for score in scores)
    num_bytes = size(score.dumps_midi() for score in scores)
    results = measure(
        lambda score: score.dumps_midi(), scores, num_bytes=num_bytes, num_notes=num_notes, case=WRITING, peer="symusic"
    )
    assert sum(Score.from_midi(file).note_num() for file in results) == num_notes


@cpu_time(WRITE)
def test_mido_writes_its_files(measure, needs, written):
    needs("mido", TABLE, WRITING)
    import mido

    part = every_tenth(written)
    num_notes = sum(EventTokenizer().encode(file).report.num_notes for file in part)

    def save(midi):
        buffer = io.BytesIO()
        midi.save(file=buffer)
        return buffer.getvalue()

    results = measure(
        save,
        [mido.MidiFile(file=io.BytesIO(file)) for file in part],
        num_bytes=size(part),
        num_notes=num_notes,
        case=WRITING,
        peer="mido",
        num_rounds=1,
    )
    assert sum(EventTokenizer().encode(file).report.num_notes for file in results) == num_notes


@pytest.mark.long
@pytest.mark.benchmark(group=BATCH)
@pytest.mark.parametrize("num_threads", [1, 2])
@needs_native
def test_amt_tokenizes_a_batch(measure, files, num_notes, num_threads):
    tokenizer = EventTokenizer()
    (batch,) = measure(
        lambda all_files: tokenizer.encode_many(all_files, num_threads=num_threads),
        [files],
        num_bytes=size(files),
        num_notes=num_notes,
        case=f"a batch, {num_threads} threads, wall time",
    )
    assert not batch.failures
    assert sum(encoding.report.num_notes for encoding in batch.encodings) == num_notes


@pytest.fixture
def alternate(benchmark, compare, rounds, midi_files, files, num_notes):
    """Times two functions in turns; the column `ratio` is the median time of `theirs` by that of `ours`."""

    def run(ours, theirs, *, case, peer, num_bytes, ratio, clock=time.process_time):
        turns = in_turns(benchmark, ours, theirs, rounds=rounds(*ROUNDS), clock=clock)
        seconds, other = turns.medians
        benchmark.extra_info.update({ratio: turns.ratio, "ratio_of_minima": turns.ratio_of_minima})
        benchmark.extra_info.update(files=midi_files[0], mb_s=num_bytes / seconds / 1e6, notes_s=num_notes / seconds)
        compare(
            f"MIDI files, in turns ({midi_files[0]})", case,
            Measured("amt", True, seconds, f"{num_notes / seconds / 1e6:.3g} M notes/s"),
            Measured(peer, False, other, f"{num_notes / other / 1e6:.3g} M notes/s"), ratio=turns.ratio,
        )  # fmt: skip

    return run


@cpu_time(SYMUSIC_IN_TURNS)
@pytest.mark.parametrize("preset", ["score", pytest.param("performance", marks=pytest.mark.long)])
@needs_native
def test_tokenizing_beside_symusic_parsing(alternate, needs, files, preset):
    case = f"parse + tokenize ({preset}), symusic: parse"
    needs("symusic", TABLE, case)
    from symusic import Score

    encode, parse = EventTokenizer(preset).encode, Score.from_midi
    alternate(
        lambda: [encode(file) for file in files],
        lambda: [parse(file) for file in files],
        case=case,
        peer="symusic",
        num_bytes=size(files),
        ratio="ratio_to_symusic",
    )


@cpu_time(SYMUSIC_IN_TURNS)
@needs_native
def test_writing_beside_symusic(alternate, needs, ids, written):
    case = "write, from tokens (symusic: from notes)"
    needs("symusic", TABLE, case)
    from symusic import Score

    write = EventTokenizer().to_midi_bytes
    scores = [Score.from_midi(file) for file in written]
    alternate(
        lambda: [write(row) for row in ids],
        lambda: [score.dumps_midi() for score in scores],
        case=case,
        peer="symusic",
        num_bytes=size(written),
        ratio="ratio_to_symusic",
    )


@pytest.mark.benchmark(group=THREADS_IN_TURNS)
@needs_native
def test_two_threads_beside_one(alternate, files):
    encode_many = EventTokenizer().encode_many
    alternate(
        lambda: encode_many(files, num_threads=2),
        lambda: encode_many(files, num_threads=1),
        case="parse + tokenize, two threads and one, wall time",
        peer="one thread",
        num_bytes=size(files),
        ratio="ratio_to_one_thread",
        clock=time.perf_counter,
    )
