"""What tokens cannot keep is counted, whatever it is."""

import pytest

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import KeySignature, Note, PedalSpan, Tempo
from amt.midi.reference import tokenizer as reference
from amt.midi.tokenizer import EncodeReport, EventTokenizer

HIT = Note(0, 120, 36, 80, 0, True)  # a quarter of a beat, as decoding makes it


def report_of(data: MidiData, preset: str = "score") -> EncodeReport:
    """The same by both tokenizers."""
    config = TokenizerConfig(preset=preset)
    report = EventTokenizer(config).encode(data).report
    assert report._asdict() == reference.encode(data, config)[1]
    return report


def test_music_that_tokens_keep_has_no_losses():
    data = MidiData([HIT, Note(0, 480, 60, 82)], [PedalSpan(0, 480)], [Tempo(0, 500_000)])
    assert report_of(data) == EncodeReport(num_notes=2, kept_notes=2)


@pytest.mark.parametrize(
    ("bpm", "clamped", "percent"),
    [(400, 1, 31.6), (310, 1, 2.0), (10, 1, 50.0), (125, 0, 0.8), (304, 0, 0), (20, 0, 0)],
)
def test_tempos_beyond_the_marks_and_between_them(bpm, clamped, percent):
    data = MidiData([Note(0, 480, 60, 80)], tempos=[Tempo(0, round(60e6 / bpm)), Tempo(480, 500_000)])
    report = report_of(data)
    assert report.clamped_tempos == clamped
    assert round(report.tempo_ppm_max / 10_000, 1) == percent
    kept = EventTokenizer().decode(EventTokenizer().encode(data).ids).tempos[0]
    lost = abs(kept.us_per_beat / data.tempos[0].us_per_beat - 1)
    assert abs(lost * 1e6 - report.tempo_ppm_max) < 1
    assert report_of(data, "performance").tempo_ppm_max == report_of(data, "performance").clamped_tempos == 0


def test_kits_and_lengths_of_drums():
    notes = [HIT, Note(480, 600, 36, 80, 25, True), Note(960, 1200, 38, 80, 25, True), Note(0, 960, 46, 80, 8, True)]
    report = report_of(MidiData([*notes, Note(0, 960, 60, 80, 7)]))
    assert report.dropped_kits == 2
    assert report.dropped_drum_lengths == 2
    performance = report_of(MidiData(notes), "performance")
    assert (performance.dropped_kits, performance.dropped_drum_lengths, performance.dropped_drums) == (0, 0, 4)


def test_key_signatures_and_pedals():
    pedals = [PedalSpan(0, 480), PedalSpan(480, 481), PedalSpan(0, 480, 0, True)]
    data = MidiData(
        [Note(0, 480, 60, 80)], pedals, key_signatures=[KeySignature(0, 3, True), KeySignature(480, 0, False)]
    )
    for preset in ("score", "performance"):
        report = report_of(data, preset)
        assert report.dropped_key_signatures == 2
        assert report.dropped_pedals == 2
