"""What a text states beside what the notes are: a row of a check for each fact."""

from __future__ import annotations

import math
from collections.abc import Iterator

from amt.midi.data import MidiData
from amt.midi.elements import TimeSignature
from amt.midi.facts import estimate_key, key_name
from amt.midi.metres import bar_length
from amt.midi.sanity import has_feel
from amt.request.casting import Role, cast
from amt.request.lexicon.styles import STYLES
from amt.request.limits import BARS_AROUND, Limits
from amt.request.reading import Reading
from amt.request.rows import ReportRow, bpm_words, listing, programs_in, signature_words

TEMPO_TOLERANCE = 0.05  # of what a text asks for
HELD_TEMPO_TOLERANCE = 0.005
DURATION_TOLERANCE = 0.1
# What can be measured of feels.
MEASURED_FEELS = {
    "swing": "swing", "shuffle": "swing", "four on the floor": "four", "backbeat": "backbeat",
    "walking bass": "walking", "offbeat": "offbeat",
}  # fmt: skip


def stated(reading: Reading, limits: Limits, said: frozenset[str], music: MidiData) -> Iterator[ReportRow]:
    """A row for each thing that a text asks for and that notes show.

    Args:
        limits: of the piece.
        said: the names of those that the words gave; without it only what is stated counts, not what a style implies.
    """
    yield from _key_rows(reading, music)
    if (tempo := _tempo_row(reading, said, music)) is not None:
        yield tempo
    metre = reading.implied_metre if reading.metre is not None or "time_signature" in said else None
    if metre is not None:
        signatures = music.time_signatures or [TimeSignature(0, 4, 4)]
        judged = signatures if "time_signature" in said else signatures[:1]
        is_met = all((each.numerator, each.denominator) == metre for each in judged)
        got = ", ".join(dict.fromkeys(map(signature_words, judged)))
        by = reading.metre is None and _style_of_metre(reading)
        asked = "{}/{}".format(*metre) + (f" ({by})" if by else "")
        yield ReportRow("time_signature", asked, got, is_met, "time_signature" in said)
    yield from _player_rows(reading, limits, said, music)
    yield from _length_rows(reading, said, music)
    yield from _feel_rows(reading, music)


def _key_rows(reading: Reading, music: MidiData) -> Iterator[ReportRow]:
    key = estimate_key(music.notes)
    got = "none" if key is None else key_name(key)
    if reading.key is not None:
        if reading.key.value.mode in ("major", "minor"):
            asked = (reading.key.value.tonic, reading.key.value.is_minor)
            yield ReportRow("key", key_name(asked), got, key == asked, False)
    elif (mode := reading.implied_mode) is not None:
        by = "" if reading.mode is not None else f" ({reading.mood_of_mode})"
        yield ReportRow("mode", mode + by, got, key is not None and key[1] == (mode == "minor"), False)


def _tempo_row(reading: Reading, said: frozenset[str], music: MidiData) -> ReportRow | None:
    is_held = "tempo" in said
    tempo = reading.implied_tempo
    if tempo is None or (reading.tempo is None and not is_held):
        return None
    got = [each.bpm for each in music.tempos] or [120.0]
    if not is_held:
        got = got[:1]
    around = 0.0 if tempo.word else HELD_TEMPO_TOLERANCE if is_held else TEMPO_TOLERANCE
    # Files count whole microseconds a beat: 168 quarter notes a minute are 167.9998.
    fastest, slowest = 60e6 / ((1 + around) * tempo.high) - 0.5, 60e6 / ((1 - around) * tempo.low) + 0.5
    is_met = all(fastest <= 60e6 / bpm <= slowest for bpm in got)
    asked = bpm_words(tempo.low) if tempo.low == tempo.high else f"{tempo.low:g} to {bpm_words(tempo.high)}"
    asked += f" ({tempo.word})" if tempo.word else ""
    return ReportRow("tempo", asked, ", ".join(dict.fromkeys(map(bpm_words, got))), is_met, is_held)


def _style_of_metre(reading: Reading) -> str:
    return next((said.value for said in reading.styles if STYLES[said.value].metre is not None), "")


def _player_rows(reading: Reading, limits: Limits, said: frozenset[str], music: MidiData) -> Iterator[ReportRow]:
    programs = programs_in(music)
    is_held = bool(said & {"instruments", "required_instruments"})
    # "guitar" is any guitar; an orchestra may have anything beside what is named.
    roles = cast(reading) if is_held else tuple(Role(part, part.programs[0]) for part in reading.parts)
    if roles:
        all_play = all(not {*role.part.programs}.isdisjoint(programs) for role in roles)
        allowed = {program for role in roles for program in role.part.programs} - reading.forbidden_programs
        no_other = reading.is_open or allowed.issuperset(programs)
        names = ", ".join(role.part.name + (f" ({role.by})" if role.by else "") for role in roles)
        yield ReportRow("instruments", names, listing(programs), all_play and no_other, is_held)
    if reading.refused:
        names = ", ".join(each.value.name for each in reading.refused)
        is_met = reading.forbidden_programs.isdisjoint(programs)
        is_held = bool(said & {"instruments", "forbidden_instruments"})
        yield ReportRow("without", names, listing(programs), is_met, is_held)


def _length_rows(reading: Reading, said: frozenset[str], music: MidiData) -> Iterator[ReportRow]:
    if reading.seconds is not None:
        low, high = reading.seconds.value.low, reading.seconds.value.high
        is_met = (1 - DURATION_TOLERANCE) * low <= music.duration_s
        is_met = is_met and (high is None or music.duration_s <= (1 + DURATION_TOLERANCE) * high)
        asked = f"about {reading.seconds.value} s"
        yield ReportRow("duration", asked, f"{music.duration_s:.4g} s", is_met, "duration" in said)
    if reading.bars is not None:
        signature = music.time_signatures[0] if music.time_signatures else TimeSignature(0, 4, 4)
        bar = bar_length((signature.numerator, signature.denominator))
        count = music.end_ticks / music.ticks_per_beat / float(bar)
        low, high = reading.bars.value.low, reading.bars.value.high
        is_met = low - BARS_AROUND <= count <= (math.inf if high is None else high) + BARS_AROUND
        yield ReportRow("bars", str(reading.bars.value), f"{count:.4g}", is_met, "bars" in said)


def _feel_rows(reading: Reading, music: MidiData) -> Iterator[ReportRow]:
    names = [said.value for said in reading.feels]
    by = ""
    if not names:
        implied = reading.implied_feel
        if implied is not None:
            names = [implied.value]
            by = f" ({next(said.value for said in reading.styles if said.start == implied.start)})"
    for name in names:
        if name in MEASURED_FEELS:
            is_met = has_feel(music, MEASURED_FEELS[name])
            yield ReportRow("feel", name + by, name if is_met else f"no {name}", is_met, False)
