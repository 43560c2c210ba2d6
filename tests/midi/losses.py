"""What a report of `encode` may count of a piece that came out of `decode`."""

from collections.abc import Mapping

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData


def assert_nothing_lost(report: Mapping[str, int], midi_data: MidiData, config: TokenizerConfig) -> None:
    """Nothing but the lengths of drum notes that end early, each at the next hit of its pitch."""
    no_losses = ("num_notes", "kept_notes", "dropped_drum_lengths")
    assert not any(count for key, count in report.items() if key not in no_losses)
    drums = [note for note in midi_data.notes if note.is_drum]
    full = max(1, config.steps_per_beat // 4) * midi_data.ticks_per_beat // config.steps_per_beat
    cut = [note for note in drums if note.end_ticks - note.start_ticks != full]
    assert report["dropped_drum_lengths"] == len(cut)
    assert {(note.pitch, note.end_ticks) for note in cut} <= {(note.pitch, note.start_ticks) for note in drums}
