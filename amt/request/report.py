"""What was asked for beside what the notes are: the row of a check for each limit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import TimeSignature
from amt.midi.facts import estimate_key, key_name
from amt.midi.limits import Constraints
from amt.midi.programs import DRUMS, program_name
from amt.midi.vocabulary import Vocabulary, time_signature
from amt.request.limits import Limits, bar_beats
from amt.request.reading import Reading

TEMPO_TOLERANCE = 0.05  # of what a text asks for
DURATION_TOLERANCE = 0.1
ROUNDING_S = 1e-6


@dataclasses.dataclass(frozen=True)
class ReportRow:
    """One thing that was asked for, and what came.

    Attributes:
        name: "key", "tempo", "time_signature", "instruments", "without", "duration", "bars", "max_beats" or
            "max_polyphony".
        asked, got: in words.
        is_met: whether the notes keep it.
        is_hard: whether it was an option, or became one with `duration` or `bars`; otherwise the text asked for it.
    """

    name: str
    asked: str
    got: str
    is_met: bool
    is_hard: bool

    def __str__(self) -> str:
        verdict = "kept" if self.is_met else "not kept"
        return f"{self.name.replace('_', ' ')}: asked for {self.asked}, got {self.got}: {verdict}"


def compare(
    reading: Reading, limits: Limits | None, constraints: Constraints | None, music: MidiData, config: TokenizerConfig
) -> list[ReportRow]:
    """A row for each hard limit, then one for each other thing that the text asks for.

    Hard: every pitched note lies in the scale of the key; every tempo and time signature is the one that was asked
    for; no other instrument plays; the piece ends in time. Soft: the estimated key (`amt.midi.facts`), the first time
    signature and the instruments are those of the text, nobody plays whom it refuses, the first tempo is within 5 % and
    the duration within 10 %.
    """
    hard = [] if limits is None or constraints is None else list(_hard(limits, constraints, music, config))
    names = {row.name for row in hard}
    if config.preset != "score":
        names |= {"tempo", "time_signature"}  # its music has none: there is nothing to measure
    return hard + [row for row in _soft(reading, music) if row.name not in names]


def _hard(limits: Limits, constraints: Constraints, music: MidiData, config: TokenizerConfig) -> Iterator[ReportRow]:
    pitched = music.notes[~music.notes.is_drum]
    num_beats = music.end_ticks / music.ticks_per_beat
    if constraints.pitch_classes is not None:
        num_outside = int((~np.isin(pitched.pitch % 12, constraints.pitch_classes)).sum())
        got = f"{num_outside} of {len(pitched)} notes outside its scale"
        yield ReportRow("key", str(limits.key), got, num_outside == 0, True)
    if constraints.tempo_index is not None:
        us_per_beat = Vocabulary(config).tempo_us_per_beat(constraints.tempo_index)
        is_met = all(tempo.us_per_beat == us_per_beat for tempo in music.tempos)
        got = ", ".join(dict.fromkeys(_bpm(tempo.bpm) for tempo in music.tempos))
        yield ReportRow("tempo", _bpm(float(limits.tempo or 0)), got, is_met, True)
    if constraints.time_signature_index is not None:
        asked = "{}/{}".format(*time_signature(constraints.time_signature_index))
        signatures = list(dict.fromkeys(map(_signature, music.time_signatures)))
        yield ReportRow("time_signature", asked, ", ".join(signatures), signatures == [asked], True)
    if constraints.programs is not None:
        programs = _programs(music)
        got = _listing(programs)
        yield ReportRow(
            "instruments", _listing(constraints.programs), got, set(programs) <= {*constraints.programs}, True
        )
    if limits.max_beats is not None:
        step = 1 / config.steps_per_beat
        is_met = num_beats <= max(step, limits.max_beats + step / 2)  # the nearest step, at least one
        yield ReportRow("max_beats", f"at most {limits.max_beats:g} beats", f"{num_beats:.4g} beats", is_met, True)
    if constraints.max_polyphony is not None:
        highest = _highest_polyphony(pitched.start_ticks, pitched.end_ticks)
        is_met = highest <= constraints.max_polyphony
        yield ReportRow("max_polyphony", f"at most {constraints.max_polyphony} notes", f"{highest} notes", is_met, True)
    if limits.duration is not None:
        is_met = music.duration_s <= limits.duration + ROUNDING_S
        yield ReportRow("duration", f"at most {limits.duration:g} s", f"{music.duration_s:.4g} s", is_met, True)
    if limits.bars is not None and constraints.time_signature_index is not None:
        num_bars = Fraction(music.end_ticks, music.ticks_per_beat) / bar_beats(constraints.time_signature_index)
        yield ReportRow("bars", f"at most {limits.bars}", f"{float(num_bars):.4g}", num_bars <= limits.bars, True)


def _soft(reading: Reading, music: MidiData) -> Iterator[ReportRow]:
    if reading.key is not None and reading.key.value.mode in ("major", "minor"):
        asked = (reading.key.value.tonic, reading.key.value.is_minor)
        key = estimate_key(music.notes)
        yield ReportRow("key", key_name(asked), "none" if key is None else key_name(key), key == asked, False)
    if reading.tempo_bpm is not None:
        bpm = music.tempos[0].bpm if music.tempos else 120.0
        is_met = abs(bpm - reading.tempo_bpm) <= TEMPO_TOLERANCE * reading.tempo_bpm
        yield ReportRow("tempo", _bpm(reading.tempo_bpm), _bpm(bpm), is_met, False)
    if reading.metre is not None:
        signature = music.time_signatures[0] if music.time_signatures else TimeSignature(0, 4, 4)
        is_met = (signature.numerator, signature.denominator) == reading.metre.value
        yield ReportRow("time_signature", "{}/{}".format(*reading.metre.value), _signature(signature), is_met, False)
    programs = _programs(music)
    if reading.parts:
        # "guitar" is any guitar; an orchestra may have anything beside what is named.
        all_play = all(not {*part.programs}.isdisjoint(programs) for part in reading.parts)
        no_other = reading.allowed_programs is None or reading.allowed_programs.issuperset(programs)
        names = ", ".join(part.name for part in reading.parts)
        yield ReportRow("instruments", names, _listing(programs), all_play and no_other, False)
    if reading.refused:
        names = ", ".join(said.value.name for said in reading.refused)
        is_met = reading.forbidden_programs.isdisjoint(programs)
        yield ReportRow("without", names, _listing(programs), is_met, False)
    if reading.seconds is not None:
        low, high = reading.seconds.value.low, reading.seconds.value.high
        is_met = (1 - DURATION_TOLERANCE) * low <= music.duration_s
        is_met = is_met and (high is None or music.duration_s <= (1 + DURATION_TOLERANCE) * high)
        yield ReportRow("duration", f"about {reading.seconds.value} s", f"{music.duration_s:.4g} s", is_met, False)


def _programs(music: MidiData) -> list[int]:
    """Those that play, ascending; 128 = drums."""
    programs: list[int] = np.unique(np.where(music.notes.is_drum, DRUMS, music.notes.program)).tolist()
    return programs


def _listing(programs: Sequence[int]) -> str:
    return ", ".join(map(program_name, programs)) or "none"


def _signature(signature: TimeSignature) -> str:
    return f"{signature.numerator}/{signature.denominator}"


def _bpm(bpm: float) -> str:
    return f"{round(bpm, 1):g} quarter notes a minute"


def _highest_polyphony(start_ticks: np.ndarray, end_ticks: np.ndarray) -> int:
    """Most notes at once; one that begins where another ends does not meet it."""
    ticks = np.concatenate([start_ticks, end_ticks])
    changes = np.repeat([1, -1], [len(start_ticks), len(end_ticks)])
    return int(changes[np.lexsort((changes, ticks))].cumsum().max(initial=0))
