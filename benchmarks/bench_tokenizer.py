"""MIDI bytes to token ids and back, beside what else a user could take.

    pytest benchmarks/bench_tokenizer.py --benchmark-only --benchmark-json=tokenizer.json
    python benchmarks/report.py tokenizer.json

CPU time of the process, so that other work on the machine disturbs less; the batch rows are wall time. Files are in
memory. MB/s counts the MIDI bytes read or written, notes/s the notes in them.
"""

import io
import statistics
import time

import pytest

from amt.midi.native import native
from amt.midi.tokenizer import EventTokenizer

PARSE = "parse + tokenize, one thread"
WRITE = "tokens -> MIDI bytes"
BATCH = "batch"
ROUNDS = 15

cpu_time = pytest.mark.benchmark(timer=time.process_time)
needs_native = pytest.mark.skipif(native is None, reason="amt._midi is not built")


@pytest.fixture(scope="module")
def symusic():
    return pytest.importorskip("symusic", reason="symusic is not installed")


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
def measure(benchmark, midi_files):
    """Runs a function over all items, `rounds` times, and notes how fast that was; returns what it returned."""

    def run(function, items, *, num_bytes, num_notes, rounds=ROUNDS):
        results = benchmark.pedantic(
            lambda: [function(item) for item in items], rounds=rounds, warmup_rounds=1 if rounds > 1 else 0
        )
        seconds = benchmark.stats.stats.median
        benchmark.extra_info.update(files=midi_files[0], items=len(items), notes=num_notes)
        benchmark.extra_info.update(mb_s=num_bytes / seconds / 1e6, notes_s=num_notes / seconds)
        return results

    return run


def size(files):
    return sum(map(len, files))


def every_tenth(files):
    """What slow libraries get."""
    return files[::10]


@cpu_time
@pytest.mark.benchmark(group=PARSE)
@pytest.mark.parametrize("preset", ["score", "performance"])
@needs_native
def test_amt_parses_and_tokenizes(measure, files, num_notes, preset):
    encodings = measure(EventTokenizer(preset).encode, files, num_bytes=size(files), num_notes=num_notes)
    assert sum(encoding.report.num_notes for encoding in encodings) == num_notes


@cpu_time
@pytest.mark.benchmark(group=PARSE)
@needs_native
def test_amt_parses_only(measure, files, num_notes):
    data = measure(native.read, files, num_bytes=size(files), num_notes=num_notes)
    assert sum(item.num_notes for item in data) == num_notes


@cpu_time
@pytest.mark.benchmark(group=PARSE)
def test_symusic_parses_only(measure, files, num_notes, symusic):
    scores = measure(symusic.Score.from_midi, files, num_bytes=size(files), num_notes=num_notes)
    # It drops notes whose end is missing; there are few.
    assert 0.99 * num_notes <= sum(score.note_num() for score in scores) <= num_notes


@cpu_time
@pytest.mark.benchmark(group=PARSE)
def test_miditok_parses_and_tokenizes(measure, files, symusic):
    miditok = pytest.importorskip("miditok", reason="miditok is not installed")
    tokenizer = miditok.MIDILike(miditok.TokenizerConfig(use_programs=True, one_token_stream_for_programs=True))
    part = every_tenth(files)
    num_notes = sum(symusic.Score.from_midi(file).note_num() for file in part)
    sequences = measure(
        lambda file: tokenizer.encode(symusic.Score.from_midi(file)),
        part,
        num_bytes=size(part),
        num_notes=num_notes,
        rounds=3,
    )
    assert all(len(sequence.ids) > 0 for sequence in sequences)


@cpu_time
@pytest.mark.benchmark(group=PARSE)
def test_mido_parses_only(measure, files):
    mido = pytest.importorskip("mido", reason="mido is not installed")
    part = every_tenth(files)
    num_notes = sum(EventTokenizer().encode(file).report.num_notes for file in part)
    parsed = measure(
        lambda file: mido.MidiFile(file=io.BytesIO(file), clip=True),
        part,
        num_bytes=size(part),
        num_notes=num_notes,
        rounds=1,
    )
    starts = sum(
        message.type == "note_on" and message.velocity > 0
        for midi in parsed
        for track in midi.tracks
        for message in track
    )
    assert starts == num_notes


@cpu_time
@pytest.mark.benchmark(group=PARSE)
@pytest.mark.filterwarnings("ignore:Tempo, Key or Time signature:RuntimeWarning")
def test_pretty_midi_parses_only(measure, files):
    pretty_midi = pytest.importorskip("pretty_midi", reason="pretty_midi is not installed")
    part = every_tenth(files)
    num_notes = sum(EventTokenizer().encode(file).report.num_notes for file in part)
    parsed = measure(
        lambda file: pretty_midi.PrettyMIDI(io.BytesIO(file)),
        part,
        num_bytes=size(part),
        num_notes=num_notes,
        rounds=1,
    )
    # One note-off ends all notes of its pitch there, and notes without length are left out.
    assert 0 < sum(len(instrument.notes) for midi in parsed for instrument in midi.instruments) <= 1.01 * num_notes


@cpu_time
@pytest.mark.benchmark(group=WRITE)
@needs_native
def test_amt_writes_tokens(measure, ids, written, symusic):
    num_notes = sum(symusic.Score.from_midi(file).note_num() for file in written)
    results = measure(EventTokenizer().to_midi_bytes, ids, num_bytes=size(written), num_notes=num_notes)
    assert results == written


@cpu_time
@pytest.mark.benchmark(group=WRITE)
def test_symusic_writes_scores(measure, written, symusic):
    scores = [symusic.Score.from_midi(file) for file in written]
    num_notes = sum(score.note_num() for score in scores)
    num_bytes = size(score.dumps_midi() for score in scores)
    results = measure(lambda score: score.dumps_midi(), scores, num_bytes=num_bytes, num_notes=num_notes)
    assert sum(symusic.Score.from_midi(file).note_num() for file in results) == num_notes


@cpu_time
@pytest.mark.benchmark(group=WRITE)
def test_mido_writes_its_files(measure, written, symusic):
    mido = pytest.importorskip("mido", reason="mido is not installed")
    part = every_tenth(written)
    num_notes = sum(symusic.Score.from_midi(file).note_num() for file in part)

    def save(midi):
        buffer = io.BytesIO()
        midi.save(file=buffer)
        return buffer.getvalue()

    results = measure(
        save,
        [mido.MidiFile(file=io.BytesIO(file)) for file in part],
        num_bytes=size(part),
        num_notes=num_notes,
        rounds=1,
    )
    assert sum(symusic.Score.from_midi(file).note_num() for file in results) == num_notes


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
    )
    assert not batch.failures
    assert sum(encoding.report.num_notes for encoding in batch.encodings) == num_notes


def alternate(benchmark, ours, theirs, *, ratio="ratio_to_symusic", clock=time.process_time, rounds=ROUNDS):
    """Times two functions in turns, so that a machine that slows down and recovers favours neither.

    The row's own time is that of both; the column `ratio` is the median time of `theirs` by that of `ours`: above 1,
    `ours` is faster.
    """
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}

    def both():
        for name, function in (("ours", ours), ("theirs", theirs)):
            start = clock()
            function()
            seconds[name].append(clock() - start)

    benchmark.pedantic(both, rounds=rounds, warmup_rounds=1)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    benchmark.extra_info[ratio] = medians["theirs"] / medians["ours"]
    benchmark.extra_info["ratio_of_minima"] = min(seconds["theirs"][1:]) / min(seconds["ours"][1:])
    return medians["ours"]


@cpu_time
@pytest.mark.benchmark(group="AMT and symusic in turns (the time is of both)")
@pytest.mark.parametrize("preset", ["score", "performance"])
@needs_native
def test_tokenizing_beside_symusic_parsing(benchmark, midi_files, files, num_notes, symusic, preset):
    encode = EventTokenizer(preset).encode
    parse = symusic.Score.from_midi
    seconds = alternate(benchmark, lambda: [encode(file) for file in files], lambda: [parse(file) for file in files])
    benchmark.extra_info.update(files=midi_files[0], mb_s=size(files) / seconds / 1e6, notes_s=num_notes / seconds)


@cpu_time
@pytest.mark.benchmark(group="AMT and symusic in turns (the time is of both)")
@needs_native
def test_writing_beside_symusic(benchmark, midi_files, ids, written, symusic):
    write = EventTokenizer().to_midi_bytes
    scores = [symusic.Score.from_midi(file) for file in written]
    seconds = alternate(
        benchmark, lambda: [write(row) for row in ids], lambda: [score.dumps_midi() for score in scores]
    )
    num_notes = sum(score.note_num() for score in scores)
    benchmark.extra_info.update(files=midi_files[0], mb_s=size(written) / seconds / 1e6, notes_s=num_notes / seconds)


@pytest.mark.benchmark(group="two threads and one in turns (the time is of both, wall time)")
@needs_native
def test_two_threads_beside_one(benchmark, midi_files, files, num_notes):
    encode_many = EventTokenizer().encode_many
    seconds = alternate(
        benchmark,
        lambda: encode_many(files, num_threads=2),
        lambda: encode_many(files, num_threads=1),
        ratio="ratio_to_one_thread",
        clock=time.perf_counter,
    )
    benchmark.extra_info.update(files=midi_files[0], mb_s=size(files) / seconds / 1e6, notes_s=num_notes / seconds)
